//! One site, asked as one account.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patchwright_core::Secret;
use patchwright_http::forge::encode_segment;
use patchwright_http::{HttpClient, HttpError, Request, Response, Retry};

/// Which of Jira's interfaces is used. They differ in how texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiVersion {
    /// Wiki markup (`seeds/000`).
    #[default]
    V2,
    /// The Atlassian Document Format.
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

/// Who asks.
#[derive(Debug, Clone)]
pub enum JiraAuth {
    /// A service account: its e-mail address and API token.
    Basic {
        /// The address.
        email: String,
        /// The token.
        api_token: Secret,
    },
    /// A person who has let us: an OAuth 2.0 access token.
    Bearer(Secret),
}

/// A client for one site, usable alone.
#[derive(Debug, Clone)]
pub struct JiraClient {
    http: HttpClient,
    base: String,
    version: ApiVersion,
    auth: JiraAuth,
}

impl JiraClient {
    /// A client for the site under `base`: `https://api.atlassian.com/ex/jira/{cloud id}`, or `https://{site}` for service
    /// accounts.
    pub fn new(http: HttpClient, base: &str, version: ApiVersion, auth: JiraAuth) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), version, auth }
    }

    /// Which interface it uses.
    pub const fn version(&self) -> ApiVersion {
        self.version
    }

    /// The address of a call, from path segments that are encoded here.
    pub fn url(&self, segments: &[&str]) -> String {
        let path: Vec<String> = segments.iter().map(|segment| encode_segment(segment)).collect();
        format!("{}/rest/api/{}/{}", self.base, self.version.as_str(), path.join("/"))
    }

    /// Sends a request with the account's credentials.
    ///
    /// # Errors
    /// [`HttpError`] when there was no answer.
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
