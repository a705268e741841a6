//! Nodes, as administrators see them.

use serde::{Deserialize, Serialize};

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    pub id: String,
    pub name: String,
    /// Assigned and detected labels.
    pub labels: Vec<String>,
    /// The address that tasks are sent to; absent in pull mode.
    pub push_url: Option<String>,
    pub capacity: u32,
    /// Number of its open tasks.
    pub running: u32,
    /// Whether its last heartbeat is recent.
    pub online: bool,
    /// Whether it finishes its tasks and gets no new ones.
    pub draining: bool,
    pub version: Option<String>,
    /// The load average per processor.
    pub load: f64,
    /// Free disk space, in bytes.
    pub disk_free: Option<u64>,
    pub created_at: String,
    pub registered_at: Option<String>,
    pub seen_at: Option<String>,
    pub used_at: Option<String>,
}

/// A node with its join token, which is shown only once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvitedNode {
    #[serde(flatten)]
    pub node: NodeView,
    /// Start the node with it: `patchwright node --server … --token …`.
    pub join_token: Option<String>,
    /// When the token expires.
    pub join_until: Option<String>,
}

/// A node to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewNode {
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._:-]{1,60}$", example = "builder-1"))]
    pub name: String,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::labels))]
    pub labels: Vec<String>,
    /// The address that tasks are sent to (push mode). Without it the node polls (pull mode).
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^(https://[!-?A-~]{1,280}|http://(127\\.|localhost|\\[::1\\])[!-?A-~]{0,270})?$")
    )]
    pub push_url: Option<String>,
}

/// Fields to change; absent fields stay as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeUpdate {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::labels_or_null))]
    pub labels: Option<Vec<String>>,
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^(https://[!-?A-~]{1,280}|http://(127\\.|localhost|\\[::1\\])[!-?A-~]{0,270})?$")
    )]
    pub push_url: Option<String>,
    pub draining: Option<bool>,
    /// Creates a new join token and revokes the node's token.
    #[serde(default)]
    pub invite: bool,
}

/// Drains a node, or resumes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    pub draining: bool,
}

crate::debug_without_secrets!(InvitedNode: node);
