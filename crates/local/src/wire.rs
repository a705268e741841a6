//! The payloads of the built-in forge. Only this project defines them, so unknown fields are refused.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    pub(crate) action: String,
    pub(crate) repository: String,
    pub(crate) actor: String,
    pub(crate) issue: Issue,
    pub(crate) comment: Option<Comment>,
    pub(crate) label: Option<String>,
    pub(crate) assignee: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) body: String,
    pub(crate) author: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comment {
    pub(crate) id: String,
    pub(crate) body: String,
}
