//! Jira's webhook payloads, as far as they are read. Unknown fields are accepted.

use patchwright_core::webhook::Text;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) display_name: String,
    /// `atlassian` for users, `app` for programs.
    #[serde(default)]
    pub(crate) account_type: String,
}

/// The parts of a payload that name the site. Decoded before the signature is checked, so nothing else of it is kept.
#[derive(Debug, Deserialize)]
pub(crate) struct Origin<'a> {
    #[serde(borrow)]
    pub(crate) issue: Option<Resource<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<Resource<'a>>,
    #[serde(borrow)]
    pub(crate) comment: Option<CommentOrigin<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resource<'a> {
    #[serde(borrow, rename = "self")]
    pub(crate) address: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CommentOrigin<'a> {
    #[serde(borrow, rename = "self")]
    pub(crate) address: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) author: Option<Resource<'a>>,
}

/// A whole payload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hook {
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) webhook_event: String,
    pub(crate) user: Option<User>,
    pub(crate) issue: Option<HookIssue>,
    pub(crate) comment: Option<HookComment>,
    pub(crate) changelog: Option<Changelog>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HookIssue {
    pub(crate) id: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) fields: HookFields,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct HookFields {
    #[serde(default)]
    pub(crate) labels: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HookComment {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) body: Value,
    pub(crate) author: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Changelog {
    #[serde(default)]
    pub(crate) items: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    #[serde(default)]
    pub(crate) field: String,
    pub(crate) from_string: Option<String>,
    pub(crate) to_string: Option<String>,
}
