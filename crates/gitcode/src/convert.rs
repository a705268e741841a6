//! Conversion of API responses into the types of the ports.

use base64::Engine as _;
use patchwright_core::fault::Cause;
use patchwright_core::forge::{Comment, ForgeError, Permission, RemoteIssue, Repository};
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, IssueNumber, RepoName};

use crate::forge::invalid_response;
use crate::wire;

impl wire::Issue {
    pub(crate) fn number(&self, action: &str) -> Result<IssueNumber, ForgeError> {
        let number = self.number.as_ref().and_then(wire::Id::number);
        number.map(IssueNumber::same).ok_or_else(|| invalid_response(action, "the issue has no number".into()))
    }
}

impl From<wire::Issue> for RemoteIssue {
    fn from(issue: wire::Issue) -> Self {
        Self {
            title: issue.title,
            body: issue.body.unwrap_or_default(),
            author: login(issue.user),
            // `open` in live responses, `opened` in the documentation's sample.
            open: issue.state.starts_with("open"),
            labels: issue.labels.into_iter().map(|label| label.name).collect(),
            url: issue.html_url.unwrap_or_default(),
            opened_at: issue.created_at.and_then(|at| at.parse().ok()),
        }
    }
}

impl From<wire::Comment> for Comment {
    fn from(comment: wire::Comment) -> Self {
        Self { id: comment.id.to_string(), author: login(comment.user), body: comment.body.unwrap_or_default() }
    }
}

fn login(user: Option<wire::User>) -> String {
    user.and_then(|user| user.login).unwrap_or_else(|| "ghost".to_owned())
}

/// Returns the title without its draft prefix, by which older installations mark drafts; `None` without a prefix.
pub(crate) fn without_draft_prefix(title: &str) -> Option<&str> {
    ["[WIP]", "WIP:", "Draft:", "[Draft]"].iter().find_map(|prefix| title.strip_prefix(prefix)).map(str::trim_start)
}

impl wire::PullRequest {
    pub(crate) fn is_draft(&self) -> bool {
        self.draft.unwrap_or(false) || self.title.as_deref().is_some_and(|title| without_draft_prefix(title).is_some())
    }

    /// Converts into a reference. `fallback` makes the page's address if the response has none.
    pub(crate) fn reference(&self, fallback: impl Fn(u64) -> String) -> Result<PullRequestRef, Cause> {
        let number = self.number.as_ref().or(self.iid.as_ref()).and_then(wire::Id::number);
        let number = number.ok_or("the pull request has no number")?;
        let url = self.html_url.clone().unwrap_or_else(|| fallback(number));
        Ok(PullRequestRef { number, url, node_id: None, draft: self.is_draft(), end: None })
    }
}

/// The clone address is built from the configured `clone_base`, not taken from the response: a credential is sent there.
pub(crate) fn remote_repository(found: &wire::Repository, clone_base: &str) -> Result<Repository, Cause> {
    let name: RepoName = found.full_name.parse()?;
    let default_branch = found.default_branch.as_deref().filter(|name| !name.is_empty()).unwrap_or("main");
    Ok(Repository {
        clone_url: format!("{}/{name}.git", clone_base.trim_end_matches('/')),
        default_branch: BranchName::parse(default_branch)?,
        private: found.private.unwrap_or(false),
        archived: found.archived.unwrap_or(false) || found.status.as_deref().is_some_and(|status| status == "关闭"),
        name,
    })
}

/// The platform has used several names for its roles; an unknown role has no permission.
pub(crate) fn permission(answer: &wire::PermissionAnswer) -> Permission {
    match answer.permission.as_deref().unwrap_or_default() {
        "admin" | "owner" | "maintainer" => Permission::Admin,
        "write" | "push" | "developer" | "committer" => Permission::Write,
        "read" | "pull" | "reporter" | "guest" => Permission::Read,
        _ => Permission::None,
    }
}

/// Returns a file's text; `None` for other objects and binary files.
pub(crate) fn content(content: &wire::Content) -> Option<String> {
    if content.encoding.as_deref() != Some("base64") {
        return None;
    }
    let joined: String = content.text.as_deref()?.split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(joined).ok()?).ok()
}
