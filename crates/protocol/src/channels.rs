//! Notification channels.

use serde::{Deserialize, Serialize};

/// A channel without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChannelView {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub target: String,
    pub events: Vec<String>,
    /// Only events of this repository.
    pub repository: Option<String>,
    /// Whether it is notified of all issues, and not only of those of its owner.
    pub everyone: bool,
    pub created_at: String,
}

/// A channel to create.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    pub name: String,
    pub kind: String,
    pub target: String,
    pub events: Vec<String>,
    pub repository: Option<String>,
    #[serde(default)]
    pub everyone: bool,
    pub secret: Option<String>,
}

/// Fields of a channel to change. A channel with another target is a new channel.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChannelUpdate {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::notification_events_or_null))]
    pub events: Option<Vec<String>>,
    /// Replaces the secret.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 500, pattern = "^[!-~]+$"))]
    pub secret: Option<String>,
}

/// A channel with its generated secret, which is shown only once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedChannel {
    #[serde(flatten)]
    pub channel: ChannelView,
    /// The secret that a receiver of a `webhook` verifies signatures with (Standard Webhooks).
    pub secret: Option<String>,
}

/// A notification that could not be delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedNotification {
    pub id: String,
    pub channel_id: String,
    pub error: String,
}

crate::debug_without_secrets!(NewChannel: name, ChannelUpdate: name, CreatedChannel: channel);
