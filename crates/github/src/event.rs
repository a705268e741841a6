//! The events of GitHub's deliveries: a payload becomes a platform-neutral event.

use patchwright_core::webhook::{
    Actor, DecodeError, DiffPlace, InboundComment, InboundEvent, InboundIssue, Review, Text, shorten_name,
};
use patchwright_domain::{BranchName, IssueNumber, IssueRef, RepoName};
use serde::Deserialize;

use crate::webhook::GithubWebhook;
use crate::{GITHUB, payload};

pub(crate) const OWN_COMMENT: &str = "the comment is by this application";

impl GithubWebhook {
    pub(crate) fn event(&self, event_type: &str, body: &[u8]) -> Result<InboundEvent, DecodeError> {
        if event_type == "issue_comment" {
            return self.issue_comment(body);
        }
        let action = parse::<payload::Action<'_>>(body)?.action;
        let action = action.as_ref().map_or("", Text::as_str);
        match (event_type, action) {
            ("ping", _) => Ok(InboundEvent::Ping),
            ("issues", "assigned" | "labeled" | "opened" | "reopened") => issue_changed(action, parse(body)?),
            ("pull_request", "closed") => {
                let event: payload::PullRequestClosed<'_> = parse(body)?;
                Ok(InboundEvent::PullRequestClosed {
                    repo: event.repository.name()?,
                    number: event.number,
                    head: event.pull_request.head.name.into_string(),
                    merged: event.pull_request.merged.unwrap_or(false),
                })
            }
            ("pull_request_review_comment", "created") => self.review_comment(parse(body)?),
            ("pull_request_review", "submitted") => review(parse(body)?),
            ("check_suite" | "check_run", "completed") => checks_completed(parse(body)?),
            ("installation", _) => {
                let event: payload::InstallationEvent<'_> = parse(body)?;
                let account = event.installation.account.login.into_string();
                Ok(InboundEvent::InstallationChanged { account, action: shorten_name(action) })
            }
            (event, action) => Ok(ignored(event, action)),
        }
    }

    /// Decodes the event that starts nearly all jobs in one pass. Only if that fails, the action is decoded by itself to
    /// see whether it matters.
    fn issue_comment(&self, body: &[u8]) -> Result<InboundEvent, DecodeError> {
        let event = match parse::<payload::IssueComment<'_>>(body) {
            Ok(event) => event,
            Err(error) => {
                let action = parse::<payload::Action<'_>>(body)?.action;
                return match action.as_ref().map_or("", Text::as_str) {
                    "created" => Err(error),
                    action => Ok(ignored("issue_comment", action)),
                };
            }
        };
        let action = event.action.as_ref().map_or("", Text::as_str);
        if action != "created" {
            return Ok(ignored("issue_comment", action));
        }
        if self.is_own(&event.comment) {
            return Ok(InboundEvent::Other { reason: OWN_COMMENT.to_owned() });
        }
        let issue = inbound_issue(event.issue, &event.repository)?;
        let comment = inbound_comment(event.comment, event.sender)?;
        if issue.is_pull_request {
            let (repo, number) = (issue.source.repo, issue.source.number.api);
            return Ok(InboundEvent::PullRequestCommented { repo, number, comment, place: None, review: None });
        }
        Ok(InboundEvent::Commented { issue, comment })
    }

    fn review_comment(&self, event: payload::ReviewComment<'_>) -> Result<InboundEvent, DecodeError> {
        if self.is_own(&event.comment) {
            return Ok(InboundEvent::Other { reason: OWN_COMMENT.to_owned() });
        }
        let place = diff_place(&event.comment);
        let mut comment = inbound_comment(event.comment, event.sender)?;
        // Numbered apart from the comments in conversations.
        comment.id = format!("diff-{}", comment.id);
        Ok(InboundEvent::PullRequestCommented {
            repo: event.repository.name()?,
            number: pull_number(&event.pull_request)?,
            comment,
            place,
            review: None,
        })
    }

    /// A comment of the App carries the App's id, whatever the App is called.
    fn is_own(&self, comment: &payload::Comment<'_>) -> bool {
        let id = comment.performed_via_github_app.as_ref().and_then(|app| app.id);
        id.is_some() && id == self.own_app
    }
}

fn review(event: payload::ReviewSubmitted<'_>) -> Result<InboundEvent, DecodeError> {
    let review = event.review;
    let requests_changes = review.state.as_ref().is_some_and(|state| state.as_str() == "changes_requested");
    let author = review.user.or(event.sender).ok_or_else(|| DecodeError::missing("review.user"))?;
    Ok(InboundEvent::PullRequestCommented {
        repo: event.repository.name()?,
        number: pull_number(&event.pull_request)?,
        comment: InboundComment {
            id: format!("review-{}", review.id),
            body: review.body.map(Text::into_string).unwrap_or_default(),
            author: Actor::from(author),
        },
        place: None,
        review: Some(Review { id: review.id, requests_changes }),
    })
}

fn pull_number(pull_request: &payload::PullRequest<'_>) -> Result<u64, DecodeError> {
    pull_request.number.ok_or_else(|| DecodeError::missing("pull_request.number"))
}

fn diff_place(comment: &payload::Comment<'_>) -> Option<DiffPlace> {
    let last = comment.line.or(comment.original_line);
    Some(DiffPlace {
        path: comment.path.as_ref()?.as_str().to_owned(),
        lines: last.map(|last| (comment.start_line.unwrap_or(last).min(last), last)),
        hunk: comment.diff_hunk.as_ref().map_or("", Text::as_str).to_owned(),
    })
}

fn ignored(event: &str, action: &str) -> InboundEvent {
    let reason = if action.is_empty() {
        format!("the event {event} starts no job")
    } else {
        format!("the event {event} with action {} starts no job", shorten_name(action))
    };
    InboundEvent::Other { reason }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })
}

fn issue_changed(action: &str, event: payload::Issues<'_>) -> Result<InboundEvent, DecodeError> {
    let mut issue = event.issue;
    let at = issue.updated_at.take().map(Text::into_string);
    let issue = inbound_issue(issue, &event.repository)?;
    if action == "reopened" {
        return Ok(InboundEvent::Reopened { issue });
    }
    let actor = event.sender.map(Actor::from).ok_or_else(|| DecodeError::missing("sender"))?;
    Ok(match action {
        "assigned" => {
            let assignee = event.assignee.ok_or_else(|| DecodeError::missing("assignee"))?;
            InboundEvent::Assigned { issue, assignees: vec![assignee.login.into_string()], actor, at }
        }
        "labeled" => {
            let label = event.label.ok_or_else(|| DecodeError::missing("label"))?;
            InboundEvent::Labeled { issue, labels: vec![label.name.into_string()], actor, at }
        }
        _ => InboundEvent::Opened { issue, actor },
    })
}

fn checks_completed(event: payload::Checks<'_>) -> Result<InboundEvent, DecodeError> {
    let repo = event.repository.name()?;
    let check = event.check_suite.or(event.check_run).ok_or_else(|| DecodeError::missing("check_suite"))?;
    let text = |text: Option<Text<'_>>| text.map(Text::into_string);
    Ok(InboundEvent::ChecksCompleted {
        repo,
        commit: check.head_sha.into_string(),
        name: text(check.name).or_else(|| text(check.app?.slug)).unwrap_or_else(|| "a check".to_owned()),
        conclusion: text(check.conclusion).unwrap_or_else(|| "no conclusion".to_owned()),
    })
}

/// The login that GitHub shows for deleted accounts.
pub(crate) const GHOST: &str = "ghost";

impl payload::Repository<'_> {
    pub(crate) fn name(&self) -> Result<RepoName, DecodeError> {
        RepoName::new(self.owner.login.as_str(), self.name.as_str())
            .map_err(|source| DecodeError::Field { field: "repository", source: Box::new(source) })
    }

    fn default_branch(&self) -> Result<Option<BranchName>, DecodeError> {
        self.default_branch
            .as_ref()
            .map(|name| BranchName::parse(name.as_str()))
            .transpose()
            .map_err(|source| DecodeError::Field { field: "repository.default_branch", source: Box::new(source) })
    }
}

impl From<payload::User<'_>> for Actor {
    fn from(user: payload::User<'_>) -> Self {
        actor(user.login.into_string(), user.kind.as_ref().map_or("", Text::as_str))
    }
}

/// Returns an account with whether it is a program: of the type `Bot`, or named like an App.
pub(crate) fn actor(login: String, kind: &str) -> Actor {
    Actor { is_bot: kind == "Bot" || login.ends_with("[bot]"), login }
}

pub(crate) fn inbound_issue(
    issue: payload::Issue<'_>,
    repository: &payload::Repository<'_>,
) -> Result<InboundIssue, DecodeError> {
    let number = IssueNumber::parse(issue.number)
        .map_err(|source| DecodeError::Field { field: "issue.number", source: Box::new(source) })?;
    Ok(InboundIssue {
        opened_at: issue.created_at.as_ref().and_then(|at| at.as_str().parse().ok()),
        source: IssueRef::on_forge(GITHUB, repository.name()?, number),
        default_branch: repository.default_branch()?,
        title: issue.title.into_string(),
        body: issue.body.map(Text::into_string).unwrap_or_default(),
        author: issue.user.map_or_else(|| GHOST.to_owned(), |user| user.login.into_string()),
        labels: issue.labels.unwrap_or_default().into_iter().map(|label| label.name.into_string()).collect(),
        is_pull_request: issue.pull_request.is_some(),
    })
}

/// The author and the sender of a new comment are the same account; each stands in for the other.
pub(crate) fn inbound_comment(
    comment: payload::Comment<'_>,
    sender: Option<payload::User<'_>>,
) -> Result<InboundComment, DecodeError> {
    Ok(InboundComment {
        id: comment.id.map(|id| id.to_string()).unwrap_or_default(),
        body: comment.body.map(Text::into_string).unwrap_or_default(),
        author: comment.user.or(sender).map(Actor::from).ok_or_else(|| DecodeError::missing("comment.user"))?,
    })
}
