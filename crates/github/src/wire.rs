//! The part of GitHub's API that is used, as JSON. Unknown fields are accepted: GitHub adds some every month.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) login: String,
    pub(crate) id: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OwnApp {
    pub(crate) slug: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Installation {
    pub(crate) id: u64,
}

/// An App that was registered from a manifest.
#[derive(Deserialize)]
pub(crate) struct ConvertedApp {
    pub(crate) id: u64,
    pub(crate) slug: String,
    pub(crate) html_url: String,
    pub(crate) pem: String,
    pub(crate) webhook_secret: Option<String>,
}

/// The token of an installation.
#[derive(Debug, Deserialize)]
pub(crate) struct AccessToken {
    pub(crate) token: String,
    pub(crate) expires_at: jiff::Timestamp,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Label {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    /// Null for a deleted account.
    pub(crate) user: Option<User>,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) html_url: String,
    #[serde(default)]
    pub(crate) labels: Vec<Label>,
    pub(crate) created_at: Option<jiff::Timestamp>,
    pub(crate) pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CreateIssue<'a> {
    pub(crate) title: &'a str,
    pub(crate) body: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: Option<u64>,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<User>,
}

/// A comment on a line of a diff.
#[derive(Debug, Deserialize)]
pub(crate) struct ReviewComment {
    #[serde(flatten)]
    pub(crate) comment: Comment,
    pub(crate) path: String,
    pub(crate) start_line: Option<u64>,
    pub(crate) line: Option<u64>,
    pub(crate) original_line: Option<u64>,
    pub(crate) diff_hunk: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
    pub(crate) default_branch: Option<String>,
    #[serde(default)]
    pub(crate) private: bool,
    #[serde(default)]
    pub(crate) archived: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest {
    pub(crate) number: u64,
    pub(crate) html_url: String,
    pub(crate) node_id: Option<String>,
    pub(crate) draft: Option<bool>,
    /// Absent in lists.
    pub(crate) merged: Option<bool>,
    /// `null` while GitHub works it out; absent in lists.
    pub(crate) mergeable: Option<bool>,
    pub(crate) mergeable_state: Option<String>,
    pub(crate) user: Option<User>,
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) body: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PermissionAnswer {
    pub(crate) permission: String,
}

/// A file of the contents API. A folder is an array and does not decode as one.
#[derive(Debug, Deserialize)]
pub(crate) struct Content {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) encoding: String,
    #[serde(default, rename = "content")]
    pub(crate) text: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Merge<'a> {
    pub(crate) sha: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    pub(crate) body: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Reviewers<'a> {
    pub(crate) reviewers: [&'a str; 1],
}

#[derive(Debug, Serialize)]
pub(crate) struct CreatePullRequest<'a> {
    pub(crate) title: &'a str,
    pub(crate) head: &'a str,
    pub(crate) base: &'a str,
    pub(crate) body: &'a str,
    pub(crate) draft: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Fork {
    pub(crate) default_branch_only: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct MergeUpstream<'a> {
    pub(crate) branch: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct GraphQl<'a> {
    pub(crate) query: &'static str,
    pub(crate) variables: GraphQlId<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct GraphQlId<'a> {
    pub(crate) id: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GraphQlAnswer {
    #[serde(default)]
    pub(crate) errors: Vec<GraphQlError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GraphQlError {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// The body of an error response. `errors` contains objects or strings.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ErrorAnswer {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) errors: Vec<ErrorDetail>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ErrorDetail {
    Text(String),
    Object { message: Option<String>, field: Option<String>, code: Option<String> },
}

#[derive(Debug, Serialize)]
pub(crate) struct Labels<'a> {
    pub(crate) labels: &'a [&'a str],
}

#[derive(Debug, Serialize)]
pub(crate) struct ReactionContent {
    pub(crate) content: &'static str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Id {
    pub(crate) id: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Check<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) head_sha: Option<&'a str>,
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conclusion: Option<&'static str>,
    pub(crate) output: CheckOutput<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckOutput<'a> {
    pub(crate) title: &'a str,
    pub(crate) summary: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CheckRuns {
    pub(crate) total_count: usize,
    pub(crate) check_runs: Vec<CheckRun>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CheckRun {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) html_url: Option<String>,
    pub(crate) output: Option<CheckRunOutput>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CheckRunOutput {
    pub(crate) title: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Annotation {
    pub(crate) path: Option<String>,
    pub(crate) start_line: Option<u64>,
    #[serde(rename = "annotation_level")]
    pub(crate) level: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CombinedStatus {
    pub(crate) total_count: usize,
    pub(crate) statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) context: String,
    pub(crate) state: String,
    pub(crate) target_url: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct WriteContent<'a> {
    pub(crate) message: &'a str,
    pub(crate) content: String,
    pub(crate) branch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ContentSha {
    pub(crate) sha: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WrittenContent {
    pub(crate) commit: ContentSha,
}

/// An entry of a webhook's delivery log.
#[derive(Debug, Deserialize)]
pub(crate) struct HookDelivery {
    pub(crate) id: u64,
    pub(crate) guid: String,
    pub(crate) delivered_at: jiff::Timestamp,
    /// 0 if there was no response.
    pub(crate) status_code: u16,
}

/// An entry of the list of all comments of a repository.
#[derive(Debug, Deserialize)]
pub(crate) struct ListedComment {
    pub(crate) id: u64,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<User>,
    pub(crate) issue_url: String,
    pub(crate) created_at: jiff::Timestamp,
    pub(crate) updated_at: jiff::Timestamp,
}
