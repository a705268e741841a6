//! Conversion of API responses into the types of the ports.

use base64::Engine as _;
use patchwright_core::fault::Cause;
use patchwright_core::forge::{Comment, MergeState, Permission, RemoteIssue, Repository};
use patchwright_core::webhook::DiffPlace;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, RepoName};

use crate::event::GHOST;
use crate::wire;

pub(crate) fn login(user: Option<wire::User>) -> String {
    user.map_or_else(|| GHOST.to_owned(), |user| user.login)
}

impl From<wire::Comment> for Comment {
    fn from(comment: wire::Comment) -> Self {
        Self {
            id: comment.id.map(|id| id.to_string()).unwrap_or_default(),
            author: login(comment.user),
            body: comment.body.unwrap_or_default(),
        }
    }
}

pub(crate) fn review_comment(found: wire::ReviewComment) -> (DiffPlace, Comment) {
    let last = found.line.or(found.original_line);
    let place = DiffPlace {
        path: found.path,
        lines: last.map(|last| (found.start_line.unwrap_or(last).min(last), last)),
        hunk: found.diff_hunk.unwrap_or_default(),
    };
    (place, found.comment.into())
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
            opened_at: issue.created_at,
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

/// The clone address is built from the configured `clone_base`, not taken from the response: a credential is sent there.
pub(crate) fn repository(repository: &wire::Repository, clone_base: &str) -> Result<Repository, Cause> {
    let name: RepoName = repository.full_name.parse()?;
    // An empty repository may have none; `main` is the default (`docs/requirements.md#r254`).
    let default_branch = BranchName::parse(repository.default_branch.as_deref().unwrap_or("main"))?;
    let clone_url = format!("{}/{name}.git", clone_base.trim_end_matches('/'));
    Ok(Repository { name, default_branch, clone_url, private: repository.private, archived: repository.archived })
}

/// GitHub reports `maintain` as write and `triage` as read in most places, and by their own names in some.
pub(crate) fn permission(answer: &wire::PermissionAnswer) -> Permission {
    match answer.permission.as_str() {
        "admin" => Permission::Admin,
        "write" | "maintain" => Permission::Write,
        "read" | "triage" => Permission::Read,
        _ => Permission::None,
    }
}

/// Returns a file's text; `None` for other objects, for binary files and above 1 MB, where GitHub sends no content.
pub(crate) fn content(content: &wire::Content) -> Option<String> {
    if content.kind != "file" || content.encoding != "base64" {
        return None;
    }
    let joined: String = content.text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(joined).ok()?;
    String::from_utf8(bytes).ok()
}
/// Converts GitHub's `mergeable` and `mergeable_state` (REST, "Get a pull request").
pub(crate) fn merge_state(mergeable: Option<bool>, state: Option<&str>) -> MergeState {
    match (mergeable, state) {
        (_, Some("dirty")) | (Some(false), None) => MergeState::Conflict,
        (_, Some("behind")) => MergeState::Behind,
        (Some(true), _) => MergeState::Clean,
        _ => MergeState::Unknown,
    }
}
