//! From GitHub's JSON to our own types.

use base64::Engine as _;
use patchwright_core::fault::Cause;
use patchwright_core::forge::{Permission, RemoteIssue, Repository};
use patchwright_core::webhook::{Actor, DecodeError, InboundComment, InboundIssue, Text};
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, IssueNumber, IssueRef, RepoName};

use crate::{GITHUB, event, wire};

/// The login of accounts that were deleted.
const GHOST: &str = "ghost";

pub(crate) fn login(user: Option<wire::User>) -> String {
    user.map_or_else(|| GHOST.to_owned(), |user| user.login)
}

impl From<wire::Issue> for RemoteIssue {
    fn from(issue: wire::Issue) -> Self {
        Self {
            title: issue.title,
            body: issue.body.unwrap_or_default(),
            author: login(issue.user),
            open: issue.state == "open",
            labels: issue.labels.into_iter().map(|label| label.name).collect(),
            url: issue.html_url,
        }
    }
}

impl From<wire::PullRequest> for PullRequestRef {
    fn from(pull_request: wire::PullRequest) -> Self {
        Self {
            number: pull_request.number,
            url: pull_request.html_url,
            node_id: pull_request.node_id,
            draft: pull_request.draft.unwrap_or(false),
            end: None,
        }
    }
}

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

/// Who that is, and whether GitHub takes them for a program.
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

/// The writer and the sender of a new comment are the same person; without a writer the sender stands.
pub(crate) fn inbound_comment(comment: event::Comment<'_>, sender: event::User<'_>) -> InboundComment {
    InboundComment {
        id: comment.id.map(|id| id.to_string()).unwrap_or_default(),
        body: comment.body.map(Text::into_string).unwrap_or_default(),
        author: Actor::from(comment.user.unwrap_or(sender)),
    }
}

/// `clone_base` is where repositories are cloned from: it is configured, never taken from an answer.
pub(crate) fn repository(repository: &wire::Repository, clone_base: &str) -> Result<Repository, Cause> {
    let name: RepoName = repository.full_name.parse()?;
    // An empty repository may name none (`seeds/002 §7`: main is the default).
    let default_branch = BranchName::parse(repository.default_branch.as_deref().unwrap_or("main"))?;
    let clone_url = format!("{}/{name}.git", clone_base.trim_end_matches('/'));
    Ok(Repository { name, default_branch, clone_url, private: repository.private, archived: repository.archived })
}

/// GitHub folds `maintain` into write and `triage` into read.
pub(crate) fn permission(answer: &wire::PermissionAnswer) -> Permission {
    match answer.permission.as_str() {
        "admin" => Permission::Admin,
        "write" | "maintain" => Permission::Write,
        "read" | "triage" => Permission::Read,
        _ => Permission::None,
    }
}

/// The text of a file; `None` when it is none, or too large for this call (GitHub sends no content above 1 MB).
pub(crate) fn content(content: &wire::Content) -> Option<String> {
    if content.kind != "file" || content.encoding != "base64" {
        return None;
    }
    let joined: String = content.text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(joined).ok()?;
    String::from_utf8(bytes).ok()
}
