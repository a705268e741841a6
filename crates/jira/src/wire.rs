//! The part of Jira's REST API that is used, as JSON. Unknown fields are accepted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::payload::User;

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
    /// A string in API 2, a document in API 3.
    #[serde(default)]
    pub(crate) description: Value,
    #[serde(default)]
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) status: Option<Named>,
    pub(crate) reporter: Option<User>,
    pub(crate) created: Option<String>,
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
    /// The message of Atlassian's API gateway, whose errors have another form.
    #[serde(default)]
    pub(crate) message: Option<String>,
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
