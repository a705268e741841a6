//! The settings that administrators change while the server runs.

use serde::{Deserialize, Serialize};

/// A setting with its effective value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingView {
    pub name: String,
    /// `[redacted]` for a secret.
    pub value: String,
    /// `default`, the path of a file, `stored`, `environment` or `--set`.
    pub source: String,
    /// Whether the value is never shown.
    pub secret: bool,
    /// `runtime`, `elsewhere` (it is set by the environment or the command line) or `start` (it needs a restart).
    #[cfg_attr(feature = "openapi", schema(pattern = "^(runtime|elsewhere|start)$"))]
    pub changeable: String,
    /// Who stored the value.
    pub changed_by: Option<String>,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub changed_at: Option<String>,
}

/// A new value of a setting.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    /// The value as it stands in an environment variable.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 16384))]
    pub value: String,
}

impl std::fmt::Debug for NewValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewValue").finish_non_exhaustive()
    }
}

/// Changes that take effect together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SettingChanges {
    /// The settings to change; those that belong together, such as the id and the key of an App, in one request.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 50))]
    pub changes: Vec<SettingChange>,
}

/// A change of one setting.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    /// The name of its environment variable.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z][A-Z_]{1,63}$"))]
    pub name: String,
    /// The value as it stands in an environment variable; absent or null removes the stored one.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 16384))]
    pub value: Option<String>,
}

impl std::fmt::Debug for SettingChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettingChange").field("name", &self.name).finish_non_exhaustive()
    }
}
