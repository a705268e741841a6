//! From GitCode's JSON to our own types.

use base64::Engine as _;
use patchwright_core::fault::Cause;
use patchwright_core::forge::{Comment, ForgeError, Permission, RemoteIssue, Repository};
use patchwright_core::webhook::{DecodeError, Text};
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{BranchName, IssueNumber, RepoName};

use crate::forge::nonsense;
use crate::{event, wire};

pub(crate) fn repository(project: &event::Project<'_>) -> Result<RepoName, DecodeError> {
    let parsed = match (&project.path_with_namespace, &project.namespace, &project.name) {
        (Some(path), _, _) => path.as_str().parse(),
        (None, Some(event::Namespace::Name(owner)), Some(name)) => RepoName::new(owner.as_str(), name.as_str()),
        (None, Some(event::Namespace::Object { path, name: full }), Some(name)) => {
            let owner =
                path.as_ref().or(full.as_ref()).ok_or_else(|| DecodeError::missing("project.namespace.name"))?;
            RepoName::new(owner.as_str(), name.as_str())
        }
        _ => return Err(DecodeError::missing("project.path_with_namespace")),
    };
    parsed.map_err(|source| DecodeError::Field { field: "project", source: Box::new(source) })
}

pub(crate) fn default_branch(project: &event::Project<'_>) -> Result<Option<BranchName>, DecodeError> {
    let name = project.default_branch.as_ref().map(Text::as_str).filter(|name| !name.is_empty());
    name.map(BranchName::parse)
        .transpose()
        .map_err(|source| DecodeError::Field { field: "project.default_branch", source: Box::new(source) })
}

pub(crate) fn number(number: Option<&event::Number<'_>>, field: &'static str) -> Result<IssueNumber, DecodeError> {
    let number = number.ok_or_else(|| DecodeError::missing(field))?;
    let number = number.value().ok_or_else(|| DecodeError::Field { field, source: "it is no number".into() })?;
    IssueNumber::parse(number).map_err(|source| DecodeError::Field { field, source: Box::new(source) })
}

impl wire::Issue {
    pub(crate) fn number(&self, action: &str) -> Result<IssueNumber, ForgeError> {
        let number = self.number.as_ref().and_then(wire::Id::number);
        number.map(IssueNumber::same).ok_or_else(|| nonsense(action, "the issue has no number".into()))
    }
}

impl From<wire::Issue> for RemoteIssue {
    fn from(issue: wire::Issue) -> Self {
        Self {
            title: issue.title,
            body: issue.body.unwrap_or_default(),
            author: login(issue.user),
            // `open` live, `opened` in the documentation's sample.
            open: issue.state.starts_with("open"),
            labels: issue.labels.into_iter().map(|label| label.name).collect(),
            url: issue.html_url.unwrap_or_default(),
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

/// Older answers show a draft by a prefix of its title only.
pub(crate) fn without_draft_prefix(title: &str) -> Option<&str> {
    ["[WIP]", "WIP:", "Draft:", "[Draft]"].iter().find_map(|prefix| title.strip_prefix(prefix)).map(str::trim_start)
}

impl wire::PullRequest {
    pub(crate) fn is_draft(&self) -> bool {
        self.draft.unwrap_or(false) || self.title.as_deref().is_some_and(|title| without_draft_prefix(title).is_some())
    }

    /// `fallback` is its page when the answer names none.
    pub(crate) fn reference(&self, fallback: impl Fn(u64) -> String) -> Result<PullRequestRef, Cause> {
        let number = self.number.as_ref().or(self.iid.as_ref()).and_then(wire::Id::number);
        let number = number.ok_or("the pull request has no number")?;
        let url = self.html_url.clone().unwrap_or_else(|| fallback(number));
        Ok(PullRequestRef { number, url, node_id: None, draft: self.is_draft(), end: None })
    }
}

/// `clone_base` is where repositories are cloned from: it is configured, never taken from an answer.
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

/// Roles have had several names; an unknown one is none.
pub(crate) fn permission(answer: &wire::PermissionAnswer) -> Permission {
    match answer.permission.as_deref().unwrap_or_default() {
        "admin" | "owner" | "maintainer" => Permission::Admin,
        "write" | "push" | "developer" | "committer" => Permission::Write,
        "read" | "pull" | "reporter" | "guest" => Permission::Read,
        _ => Permission::None,
    }
}

/// The text of a file; `None` when it is none.
pub(crate) fn content(content: &wire::Content) -> Option<String> {
    if content.encoding.as_deref() != Some("base64") {
        return None;
    }
    let joined: String = content.text.as_deref()?.split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(joined).ok()?).ok()
}
