//! The part of GitCode's API v5 that is used, as JSON. Responses vary, so nearly all fields are optional.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An id that is a number or a string (`"number": "2"`; comments on pull requests have hashes).
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Label {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) number: Option<Id>,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<User>,
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) labels: Vec<Label>,
    /// With the offset of the platform's own time zone.
    pub(crate) created_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CreateIssue<'a> {
    pub(crate) repo: &'a str,
    pub(crate) title: &'a str,
    pub(crate) body: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: Id,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
    pub(crate) default_branch: Option<String>,
    pub(crate) private: Option<bool>,
    pub(crate) archived: Option<bool>,
    pub(crate) status: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest {
    pub(crate) number: Option<Id>,
    pub(crate) iid: Option<Id>,
    pub(crate) title: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) html_url: Option<String>,
    pub(crate) draft: Option<bool>,
    pub(crate) mergeable: Option<bool>,
    pub(crate) mergeable_state: Option<MergeableState>,
    pub(crate) state: Option<String>,
    pub(crate) user: Option<User>,
    pub(crate) head: Option<Head>,
}

/// The conditions of a merge, of which one is read. It is not in the platform's description, and may be absent.
#[derive(Debug, Deserialize)]
pub(crate) struct MergeableState {
    pub(crate) conflict_passed: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    #[serde(rename = "ref")]
    pub(crate) name: Option<String>,
    pub(crate) sha: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Merge {
    pub(crate) merge_method: &'static str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PermissionAnswer {
    pub(crate) permission: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Content {
    pub(crate) encoding: Option<String>,
    #[serde(rename = "content")]
    pub(crate) text: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    pub(crate) body: &'a str,
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
pub(crate) struct ChangePullRequest<'a> {
    pub(crate) draft: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<&'a str>,
}

/// The union of the three forms of an error response.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ErrorAnswer {
    pub(crate) error_code: Option<Id>,
    pub(crate) error_code_name: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) message: Option<String>,
}
