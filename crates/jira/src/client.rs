//! The client of one site with one account.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patchwright_core::Secret;
use patchwright_http::forge::encode_segment;
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};

/// The version of Jira's REST API. The versions differ in the form of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiVersion {
    /// Texts are wiki markup (`docs/requirements.md#r48`).
    #[default]
    V2,
    /// Texts are in the Atlassian Document Format.
    V3,
}

impl ApiVersion {
    const fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }
}

/// The credentials of a client.
#[derive(Debug, Clone)]
pub enum JiraAuth {
    /// A service account.
    Basic {
        /// The account's mail address.
        email: String,
        /// The account's API token.
        api_token: Secret,
    },
    /// The OAuth 2.0 access token of a user who has consented.
    Bearer(Secret),
}

/// A client of one site with one account, usable alone.
#[derive(Debug, Clone)]
pub struct JiraClient {
    http: HttpClient,
    base: String,
    version: ApiVersion,
    auth: JiraAuth,
}

impl JiraClient {
    /// Creates a client for the site at `base`: `https://api.atlassian.com/ex/jira/{cloud id}`, or `https://{site}` for
    /// service accounts.
    pub fn new(http: HttpClient, base: &str, version: ApiVersion, auth: JiraAuth) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), version, auth }
    }

    /// Returns the API's version.
    pub const fn version(&self) -> ApiVersion {
        self.version
    }

    /// Returns the address of a resource. The path segments are percent-encoded.
    pub fn url(&self, segments: &[&str]) -> String {
        let path: Vec<String> = segments.iter().map(|segment| encode_segment(segment)).collect();
        format!("{}/rest/api/{}/{}", self.base, self.version.as_str(), path.join("/"))
    }

    /// Sends a request with the account's credentials.
    ///
    /// # Errors
    /// [`HttpError`] if there is no response.
    pub async fn send(&self, request: Request, retry: Retry) -> Result<Response, HttpError> {
        let request = request.header("accept", "application/json");
        let request = match &self.auth {
            JiraAuth::Bearer(token) => request.bearer(token),
            JiraAuth::Basic { email, api_token } => {
                let pair = STANDARD.encode(format!("{email}:{}", api_token.expose()));
                request.secret_header("authorization", &Secret::new(format!("Basic {pair}")))
            }
        };
        self.http.send(request, retry).await
    }
}
