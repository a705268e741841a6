//! Users and their API tokens.

use patchwright_domain::user::User;
use serde::{Deserialize, Serialize};

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserView {
    pub id: String,
    pub login: String,
    pub role: String,
    pub active: bool,
    pub created_at: String,
}

/// A user to create. Without a password the user cannot log in with one.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._@+-]{1,64}$", example = "alice"))]
    pub login: String,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::role))]
    pub role: String,
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 256))]
    pub password: Option<String>,
}

/// Fields to change; absent fields stay as they are.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserUpdate {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::role_or_null))]
    pub role: Option<String>,
    pub active: Option<bool>,
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 256))]
    pub password: Option<String>,
}

/// The accounts of a user on forges: the user sees the repositories that these may read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgeAccounts {
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub accounts: Vec<ForgeAccount>,
}

/// An account on a forge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgeAccount {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::platform))]
    pub platform: String,
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._-]{1,100}$", example = "alice"))]
    pub login: String,
}

/// A token without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenView {
    pub id: String,
    pub name: String,
    pub scope: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
}

/// A token to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// A name for users.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: String,
    // At most the caller's own scope.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::scope))]
    pub scope: String,
    /// Days until it expires; 90 by default.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3650))]
    #[serde(default, deserialize_with = "crate::whole_or_none")]
    pub expires_in_days: Option<u16>,
}

/// A token with its secret, which is shown only once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    #[serde(flatten)]
    pub token: TokenView,
    /// Send it as `Authorization: Bearer …`.
    pub secret: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            login: user.login.to_string(),
            role: user.role.as_str().to_owned(),
            active: user.active,
            created_at: user.created_at.to_string(),
        }
    }
}

crate::debug_without_secrets!(NewUser: login, UserUpdate: role, CreatedToken: token);
