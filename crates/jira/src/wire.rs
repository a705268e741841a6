//! Jira's JSON, as far as we read or write it. Unknown fields are accepted.

use patchwright_core::webhook::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) display_name: String,
    /// `atlassian` for people, `app` for programs.
    #[serde(default)]
    pub(crate) account_type: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "statusCategory")]
    pub(crate) category: Option<Category>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Category {
    #[serde(default)]
    pub(crate) key: String,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    pub(crate) summary: Option<String>,
    /// A text in API 2 and in webhooks, a document in API 3.
    #[serde(default)]
    pub(crate) description: Value,
    #[serde(default)]
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) status: Option<Named>,
    pub(crate) reporter: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) id: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) fields: Fields,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) body: Value,
    pub(crate) author: Option<User>,
    pub(crate) properties: Option<Vec<Property>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Property {
    pub(crate) key: String,
    pub(crate) value: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comments {
    #[serde(default)]
    pub(crate) comments: Vec<Comment>,
    #[serde(default)]
    pub(crate) total: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CommentList {
    #[serde(default)]
    pub(crate) values: Vec<Comment>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CommentIds {
    pub(crate) ids: Vec<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct WriteComment {
    pub(crate) body: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) properties: Vec<Property>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Transitions {
    #[serde(default)]
    pub(crate) transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Transition {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) to: Option<Named>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DoTransition<'a> {
    pub(crate) transition: Id<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Id<'a> {
    pub(crate) id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoteLink<'a> {
    pub(crate) global_id: String,
    pub(crate) relationship: &'a str,
    pub(crate) object: RemoteObject<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RemoteObject<'a> {
    pub(crate) url: &'a str,
    pub(crate) title: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorAnswer {
    #[serde(default)]
    pub(crate) error_messages: Vec<String>,
    #[serde(default)]
    pub(crate) errors: serde_json::Map<String, Value>,
    /// As the gateway says it.
    #[serde(default)]
    pub(crate) message: Option<String>,
}

/// What a delivery says of where it comes from. Read before its signature is checked, so that nothing else is kept of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Origin<'a> {
    #[serde(borrow)]
    pub(crate) issue: Option<Place<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<Place<'a>>,
    #[serde(borrow)]
    pub(crate) comment: Option<CommentOrigin<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Place<'a> {
    #[serde(borrow, rename = "self")]
    pub(crate) address: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CommentOrigin<'a> {
    #[serde(borrow, rename = "self")]
    pub(crate) address: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) author: Option<Place<'a>>,
}

/// What comes in by a webhook.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hook {
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) webhook_event: String,
    pub(crate) user: Option<User>,
    pub(crate) issue: Option<Issue>,
    pub(crate) comment: Option<Comment>,
    pub(crate) changelog: Option<Changelog>,
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

#[derive(Serialize)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub(crate) enum Grant<'a> {
    AuthorizationCode { client_id: &'a str, client_secret: &'a str, code: &'a str, redirect_uri: &'a str },
    RefreshToken { client_id: &'a str, client_secret: &'a str, refresh_token: &'a str },
}

#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: String,
    #[serde(default)]
    pub(crate) expires_in: i64,
    pub(crate) refresh_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct TokenError {
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) error_description: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resource {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Me {
    pub(crate) account_id: String,
    #[serde(default)]
    pub(crate) name: String,
}
