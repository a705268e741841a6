//! Conversion of webhook payloads into platform-neutral events.

use patchwright_core::webhook::{Actor, DecodeError, InboundComment, InboundIssue, Text};
use patchwright_domain::{BranchName, IssueNumber, IssueRef, RepoName};

use crate::{GITHUB, event};

/// The login that GitHub shows for deleted accounts.
pub(crate) const GHOST: &str = "ghost";

impl event::Repository<'_> {
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

impl From<event::User<'_>> for Actor {
    fn from(user: event::User<'_>) -> Self {
        actor(user.login.into_string(), user.kind.as_ref().map_or("", Text::as_str))
    }
}

/// Returns an account with whether it is a program: of the type `Bot`, or named like an App.
pub(crate) fn actor(login: String, kind: &str) -> Actor {
    Actor { is_bot: kind == "Bot" || login.ends_with("[bot]"), login }
}

pub(crate) fn inbound_issue(
    issue: event::Issue<'_>,
    repository: &event::Repository<'_>,
) -> Result<InboundIssue, DecodeError> {
    let number = IssueNumber::parse(issue.number)
        .map_err(|source| DecodeError::Field { field: "issue.number", source: Box::new(source) })?;
    Ok(InboundIssue {
        source: IssueRef::on_forge(GITHUB, repository.name()?, number),
        default_branch: repository.default_branch()?,
        title: issue.title.into_string(),
        body: issue.body.map(Text::into_string).unwrap_or_default(),
        author: issue.user.map_or_else(|| GHOST.to_owned(), |user| user.login.into_string()),
        labels: issue.labels.unwrap_or_default().into_iter().map(|label| label.name.into_string()).collect(),
        is_pull_request: issue.pull_request.is_some(),
    })
}

/// The author and the sender of a new comment are the same account; the sender stands in for a missing author.
pub(crate) fn inbound_comment(comment: event::Comment<'_>, sender: event::User<'_>) -> InboundComment {
    InboundComment {
        id: comment.id.map(|id| id.to_string()).unwrap_or_default(),
        body: comment.body.map(Text::into_string).unwrap_or_default(),
        author: Actor::from(comment.user.unwrap_or(sender)),
    }
}
