//! Logging in and out.

use crate::users::UserView;
use serde::{Deserialize, Serialize};

/// Credentials of a user.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub login: String,
    pub password: String,
}

/// Creates the first administrator. The token is the one that the server printed when it started.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    pub token: String,
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9._@+-]{1,64}$"))]
    pub login: String,
    #[cfg_attr(feature = "openapi", schema(min_length = 10, max_length = 256))]
    pub password: String,
}

/// A new session; its cookie is set beside it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    pub user: UserView,
    /// Unsafe requests send it as `X-CSRF-Token`.
    pub csrf_token: String,
    pub expires_at: String,
}

/// The authenticated principal.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// Absent for the operator of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub login: String,
    pub role: String,
    pub scope: String,
    /// The session's CSRF token, for requests of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// Parameters of a login at the provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct OidcStartQuery {
    /// The path of this server to return to.
    pub return_to: Option<String>,
}

/// Parameters that a provider adds to the callback.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct OidcCallbackQuery {
    pub code: Option<String>,
    pub state: Option<String>,
    /// The provider's error code, when it did not issue a code.
    pub error: Option<String>,
}

crate::debug_without_secrets!(Login: login, Setup: login, SessionView: user, Me: login, OidcCallbackQuery: error);
