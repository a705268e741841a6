//! Credentials of forges. Secrets are write-only.

use serde::{Deserialize, Serialize};

/// A credential without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CredentialView {
    pub id: String,
    pub name: String,
    pub platform: String,
    /// `*`, an owner, or `owner/name`.
    pub scope: String,
    /// The account on the forge.
    pub login: String,
    /// Equal secrets have equal fingerprints.
    pub fingerprint: String,
    pub created_by: String,
    pub created_at: String,
    pub changed_at: String,
    pub expires_at: Option<String>,
    /// It expires within two weeks, or has expired.
    pub expires_soon: bool,
    pub last_used_at: Option<String>,
}

/// A credential to create.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// A name for users.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::keyed_platform))]
    pub platform: String,
    /// `*`, an owner, or `owner/name`; the narrowest credential of a repository is used.
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^(\\*|[A-Za-z0-9_][A-Za-z0-9_-]{0,98}(/[A-Za-z0-9_][A-Za-z0-9_-]{0,98})?)$")
    )]
    pub scope: String,
    /// A token of the forge. The forge is asked for its account before it is stored.
    #[cfg_attr(feature = "openapi", schema(min_length = 6, max_length = 8192, pattern = "^[!-~]+$"))]
    pub secret: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<String>,
}

/// Fields to change; absent fields stay as they are.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CredentialUpdate {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// Replaces the secret.
    #[cfg_attr(feature = "openapi", schema(min_length = 6, max_length = 8192, pattern = "^[!-~]+$"))]
    pub secret: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<String>,
}

crate::debug_without_secrets!(NewCredential: name, CredentialUpdate: name);
