//! The events of GitCode's deliveries: a payload becomes a platform-neutral event.

use patchwright_core::webhook::{
    Actor, DecodeError, DiffPlace, InboundComment, InboundEvent, InboundIssue, Text, shorten_name,
};
use patchwright_domain::{BranchName, IssueNumber, IssueRef, RepoName};

use crate::webhook::GitcodeWebhook;
use crate::{GITCODE, payload};

impl GitcodeWebhook {
    pub(crate) fn event(&self, event_type: &str, hook: payload::Hook<'_>) -> Result<InboundEvent, DecodeError> {
        self.bot.record_id(hook.user.as_ref());
        tracing::debug!(uuid = hook.uuid.as_ref().map(Text::as_str), event_type, "decoded a delivery");
        match event_type {
            "Note Hook" => note(hook),
            "Merge Request Hook" => merge_request(hook),
            _ => self.issue(hook),
        }
    }

    fn issue(&self, mut hook: payload::Hook<'_>) -> Result<InboundEvent, DecodeError> {
        let attributes = hook.object_attributes.take().ok_or_else(|| DecodeError::missing("object_attributes"))?;
        let action = attributes.action.as_ref().map_or("", Text::as_str).to_owned();
        let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
        let ids: Vec<i64> = attributes.assignee_ids.iter().copied().chain(attributes.assignee_id).collect();
        let author = hook.user.as_ref().or(attributes.author.as_ref());
        let at = attributes.updated_at.map(Text::into_string);
        let actor = actor(author).ok_or_else(|| DecodeError::missing("user.username"))?;
        let issue = InboundIssue {
            opened_at: attributes.created_at.as_ref().and_then(|at| at.as_str().parse().ok()),
            source: IssueRef::on_forge(
                GITCODE,
                repository(project)?,
                number(attributes.iid.as_ref(), "object_attributes.iid")?,
            ),
            default_branch: default_branch(project)?,
            title: attributes
                .title
                .map(Text::into_string)
                .ok_or_else(|| DecodeError::missing("object_attributes.title"))?,
            body: attributes.description.map(Text::into_string).unwrap_or_default(),
            author: login(attributes.author.as_ref()).unwrap_or_default(),
            labels: hook.labels.iter().map(|label| label.title.as_str().to_owned()).collect(),
            is_pull_request: false,
        };
        // Installations spell the actions like GitLab or like GitHub.
        match action.as_str() {
            "reopen" | "reopened" => Ok(InboundEvent::Reopened { issue }),
            "open" | "opened" | "create" | "created" => Ok(InboundEvent::Opened { issue, actor }),
            "assign" | "assigned" => {
                Ok(InboundEvent::Assigned { issue, assignees: self.assignees(&hook, &ids), actor, at })
            }
            "label" | "labeled" => Ok(InboundEvent::Labeled { issue, labels: labels(hook.labels), actor, at }),
            "update" | "updated" => {
                let changes = &hook.changes;
                let reassigned =
                    changes.assignee_ids.is_some() || changes.assignee_id.is_some() || changes.assignees.is_some();
                if reassigned {
                    return Ok(InboundEvent::Assigned { issue, assignees: self.assignees(&hook, &ids), actor, at });
                }
                match hook.changes.labels {
                    Some(change) => {
                        let before = labels(change.previous.unwrap_or_default());
                        let mut added = labels(change.current.unwrap_or_default());
                        added.retain(|label| !before.contains(label));
                        Ok(InboundEvent::Labeled { issue, labels: added, actor, at })
                    }
                    None => Ok(ignored("an edited issue starts no job".to_owned())),
                }
            }
            _ => Ok(ignored(format!("the event Issue Hook with action {} starts no job", shorten_name(&action)))),
        }
    }

    /// Returns the logins in the event, and the own login if the event contains the own number.
    fn assignees(&self, hook: &payload::Hook<'_>, ids: &[i64]) -> Vec<String> {
        let mut logins: Vec<String> = hook.assignees.iter().filter_map(|user| login(Some(user))).collect();
        let user_ids = hook.assignees.iter().filter_map(|user| user.id);
        if ids.iter().copied().chain(user_ids).any(|id| self.bot.has_id(id)) {
            logins.push(self.bot.login.clone());
        }
        logins
    }
}

fn note(hook: payload::Hook<'_>) -> Result<InboundEvent, DecodeError> {
    let attributes = hook.object_attributes.ok_or_else(|| DecodeError::missing("object_attributes"))?;
    if attributes.system == Some(true) {
        return Ok(ignored("the note is by the platform itself".to_owned()));
    }
    // An edited or deleted note is no new request.
    let action = attributes.action.as_ref().map_or("", Text::as_str);
    if !matches!(action, "" | "create" | "created" | "open" | "comment") {
        return Ok(ignored(format!("a note with action {} starts no job", shorten_name(action))));
    }
    let body = attributes.note.ok_or_else(|| DecodeError::missing("object_attributes.note"))?.into_string();
    match attributes.noteable_type.as_ref().map(Text::as_str) {
        Some("MergeRequest" | "Issue") | None => {}
        Some(kind) => return Ok(ignored(format!("a note on a {} starts no job", shorten_name(kind)))),
    }
    let author = actor(hook.user.as_ref()).ok_or_else(|| DecodeError::missing("user.username"))?;
    let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
    let comment = InboundComment { id: attributes.id.map(|id| id.to_string()).unwrap_or_default(), body, author };
    if attributes.noteable_type.as_ref().map(Text::as_str) == Some("MergeRequest") {
        let merge_request = hook.merge_request.ok_or_else(|| DecodeError::missing("merge_request"))?;
        return Ok(InboundEvent::PullRequestCommented {
            repo: repository(project)?,
            number: number(Some(&merge_request.iid), "merge_request.iid")?.api,
            comment,
            place: diff_place(attributes.position, attributes.st_diff),
            review: None,
        });
    }
    let issue = hook.issue.ok_or_else(|| DecodeError::missing("issue"))?;
    Ok(InboundEvent::Commented {
        issue: InboundIssue {
            opened_at: issue.created_at.as_ref().and_then(|at| at.as_str().parse().ok()),
            source: IssueRef::on_forge(GITCODE, repository(project)?, number(Some(&issue.iid), "issue.iid")?),
            default_branch: default_branch(project)?,
            title: issue.title.ok_or_else(|| DecodeError::missing("issue.title"))?.into_string(),
            body: issue.description.map(Text::into_string).unwrap_or_default(),
            author: login(issue.author.as_ref()).unwrap_or_default(),
            labels: Vec::new(),
            is_pull_request: false,
        },
        comment,
    })
}

fn diff_place(position: Option<payload::Position<'_>>, diff: Option<payload::Diff<'_>>) -> Option<DiffPlace> {
    let position = position?;
    let line = position.new_line.or(position.old_line);
    Some(DiffPlace {
        path: position.new_path.or(position.old_path)?.into_string(),
        lines: line.map(|line| (line, line)),
        hunk: diff.and_then(|diff| diff.diff).map(Text::into_string).unwrap_or_default(),
    })
}

fn merge_request(hook: payload::Hook<'_>) -> Result<InboundEvent, DecodeError> {
    let attributes = hook.object_attributes.ok_or_else(|| DecodeError::missing("object_attributes"))?;
    let text = |text: &Option<Text<'_>>| text.as_ref().map_or("", Text::as_str).to_owned();
    let (action, state) = (text(&attributes.action), text(&attributes.state));
    if !matches!(action.as_str(), "merge" | "merged" | "close" | "closed") {
        return Ok(ignored(format!(
            "the event Merge Request Hook with action {} starts no job",
            shorten_name(&action)
        )));
    }
    let project = hook.project.as_ref().ok_or_else(|| DecodeError::missing("project"))?;
    Ok(InboundEvent::PullRequestClosed {
        repo: repository(project)?,
        number: number(attributes.iid.as_ref(), "object_attributes.iid")?.api,
        head: attributes
            .source_branch
            .ok_or_else(|| DecodeError::missing("object_attributes.source_branch"))?
            .into_string(),
        merged: action.starts_with("merge") || state == "merged",
    })
}

fn labels(labels: Vec<payload::Label<'_>>) -> Vec<String> {
    labels.into_iter().map(|label| label.title.into_string()).collect()
}

fn login(user: Option<&payload::User<'_>>) -> Option<String> {
    user?.username.as_ref().map(|name| name.as_str().to_owned())
}

fn actor(user: Option<&payload::User<'_>>) -> Option<Actor> {
    // GitCode does not mark the accounts of programs.
    login(user).map(|login| Actor { is_bot: login.ends_with("[bot]"), login })
}

pub(crate) fn invalid_body(error: &serde_json::Error) -> DecodeError {
    DecodeError::Body { detail: error.to_string() }
}

pub(crate) const fn ignored(reason: String) -> InboundEvent {
    InboundEvent::Other { reason }
}

fn repository(project: &payload::Project<'_>) -> Result<RepoName, DecodeError> {
    let parsed = match (&project.path_with_namespace, &project.namespace, &project.name) {
        (Some(path), _, _) => path.as_str().parse(),
        (None, Some(payload::Namespace::Name(owner)), Some(name)) => RepoName::new(owner.as_str(), name.as_str()),
        (None, Some(payload::Namespace::Object { path, name: full }), Some(name)) => {
            let owner =
                path.as_ref().or(full.as_ref()).ok_or_else(|| DecodeError::missing("project.namespace.name"))?;
            RepoName::new(owner.as_str(), name.as_str())
        }
        _ => return Err(DecodeError::missing("project.path_with_namespace")),
    };
    parsed.map_err(|source| DecodeError::Field { field: "project", source: Box::new(source) })
}

fn default_branch(project: &payload::Project<'_>) -> Result<Option<BranchName>, DecodeError> {
    let name = project.default_branch.as_ref().map(Text::as_str).filter(|name| !name.is_empty());
    name.map(BranchName::parse)
        .transpose()
        .map_err(|source| DecodeError::Field { field: "project.default_branch", source: Box::new(source) })
}

fn number(number: Option<&payload::Number<'_>>, field: &'static str) -> Result<IssueNumber, DecodeError> {
    let number = number.ok_or_else(|| DecodeError::missing(field))?;
    let number = number.value().ok_or_else(|| DecodeError::Field { field, source: "it is not a number".into() })?;
    IssueNumber::parse(number).map_err(|source| DecodeError::Field { field, source: Box::new(source) })
}
