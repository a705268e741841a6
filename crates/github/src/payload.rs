//! GitHub's webhook payloads, borrowed from the body: copies are measurable here under load.

use patchwright_core::webhook::Text;
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Debug, Deserialize)]
pub(crate) struct User<'a> {
    #[serde(borrow)]
    pub(crate) login: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Owner<'a> {
    #[serde(borrow)]
    pub(crate) login: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) owner: Owner<'a>,
    #[serde(borrow)]
    pub(crate) default_branch: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue<'a> {
    pub(crate) number: u64,
    #[serde(borrow)]
    pub(crate) title: Text<'a>,
    #[serde(borrow)]
    pub(crate) body: Option<Text<'a>>,
    /// Null for a deleted account; absent in the sample of `docs/requirements.md#r220`.
    #[serde(borrow)]
    pub(crate) user: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) updated_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) created_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) labels: Option<Vec<Label<'a>>>,
    /// Present if the issue is a pull request.
    pub(crate) pull_request: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment<'a> {
    /// Always sent by GitHub; absent in the sample of `docs/requirements.md#r220`.
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) body: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) performed_via_github_app: Option<App<'a>>,
    /// The file of a comment on a diff.
    #[serde(borrow)]
    pub(crate) path: Option<Text<'a>>,
    pub(crate) start_line: Option<u64>,
    /// Absent if the line is not in the diff any more.
    pub(crate) line: Option<u64>,
    pub(crate) original_line: Option<u64>,
    #[serde(borrow)]
    pub(crate) diff_hunk: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct App<'a> {
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) slug: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Action<'a> {
    #[serde(borrow)]
    pub(crate) action: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct IssueComment<'a> {
    #[serde(borrow)]
    pub(crate) action: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) issue: Issue<'a>,
    #[serde(borrow)]
    pub(crate) comment: Comment<'a>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
    #[serde(borrow)]
    pub(crate) sender: Option<User<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Label<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issues<'a> {
    #[serde(borrow)]
    pub(crate) issue: Issue<'a>,
    #[serde(borrow)]
    pub(crate) assignee: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) label: Option<Label<'a>>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
    #[serde(borrow)]
    pub(crate) sender: Option<User<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequestClosed<'a> {
    pub(crate) number: u64,
    #[serde(borrow)]
    pub(crate) pull_request: PullRequest<'a>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest<'a> {
    pub(crate) number: Option<u64>,
    pub(crate) merged: Option<bool>,
    #[serde(borrow)]
    pub(crate) head: Head<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, rename = "ref")]
    pub(crate) name: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReviewComment<'a> {
    #[serde(borrow)]
    pub(crate) comment: Comment<'a>,
    #[serde(borrow)]
    pub(crate) pull_request: PullRequest<'a>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
    #[serde(borrow)]
    pub(crate) sender: Option<User<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReviewSubmitted<'a> {
    #[serde(borrow)]
    pub(crate) review: Review<'a>,
    #[serde(borrow)]
    pub(crate) pull_request: PullRequest<'a>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
    #[serde(borrow)]
    pub(crate) sender: Option<User<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Review<'a> {
    pub(crate) id: u64,
    #[serde(borrow)]
    pub(crate) body: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<User<'a>>,
    /// `commented`, `approved`, `changes_requested`.
    #[serde(borrow)]
    pub(crate) state: Option<Text<'a>>,
}

/// The payload of `check_suite` and `check_run`: one of the two fields is present.
#[derive(Debug, Deserialize)]
pub(crate) struct Checks<'a> {
    #[serde(borrow)]
    pub(crate) check_suite: Option<Check<'a>>,
    #[serde(borrow)]
    pub(crate) check_run: Option<Check<'a>>,
    #[serde(borrow)]
    pub(crate) repository: Repository<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Check<'a> {
    #[serde(borrow)]
    pub(crate) head_sha: Text<'a>,
    #[serde(borrow)]
    pub(crate) conclusion: Option<Text<'a>>,
    /// Of a check run.
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    /// Of a check suite.
    #[serde(borrow)]
    pub(crate) app: Option<App<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct InstallationEvent<'a> {
    #[serde(borrow)]
    pub(crate) installation: Installation<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Installation<'a> {
    #[serde(borrow)]
    pub(crate) account: Owner<'a>,
}
