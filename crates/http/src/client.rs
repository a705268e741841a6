//! The HTTP client: options, errors, retries.

use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::Redactor;

use crate::public_addresses::{NotPublic, PublicResolver, is_public};
use crate::request::Request;
use crate::response::{Response, StreamingResponse, read_bounded, wait_hint};

/// Configures an [`HttpClient`].
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The `User-Agent` header. GitHub refuses requests without one.
    pub user_agent: String,
    /// The time limit for one attempt, including the body.
    pub timeout: Duration,
    /// The time limit for establishing a connection.
    pub connect_timeout: Duration,
    /// The largest response body in bytes; a larger one is [`HttpError::TooLarge`].
    pub max_body: usize,
    /// A PEM file with certificates to trust in addition to the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy for `http://` addresses.
    pub http_proxy: Option<String>,
    /// The proxy for `https://` addresses.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without a proxy, comma separated.
    pub no_proxy: Option<String>,
    /// Whether loopback, private and link-local addresses are refused ([`HttpError::PrivateAddress`]). Does not apply to
    /// what a proxy resolves.
    pub public_only: bool,
    /// Masks secrets in errors.
    pub redactor: Redactor,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("patchwright/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_body: 16 * 1024 * 1024,
            ca_bundle: None,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
            public_only: false,
            redactor: Redactor::default(),
        }
    }
}

/// Whether the client may repeat a request by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The request is idempotent: it is sent up to four times.
    Safe,
    /// A second request could have a second effect: it is sent once.
    Never,
}

/// The largest number of attempts for a [`Retry::Safe`] request.
const MAX_ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles with each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);
/// A server that asks for a longer wait than this gets no retry from here: the caller schedules it.
const MAX_BACKOFF: Duration = Duration::from_secs(20);
/// The largest number of redirects that are followed, all on one host.
const MAX_REDIRECTS: usize = 5;

/// The client cannot be built from its options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// [`HttpOptions::ca_bundle`] cannot be read or contains no certificate.
    #[error("HttpOptions::ca_bundle {path} cannot be used: {detail}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// [`HttpOptions::http_proxy`] or [`HttpOptions::https_proxy`] is not an address.
    #[error("HttpOptions::{option} cannot be used: {detail}")]
    Proxy {
        /// `http_proxy` or `https_proxy`.
        option: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The TLS or DNS configuration of this machine cannot be used.
    #[error("the HTTP client cannot be built: {detail}")]
    Other {
        /// The cause.
        detail: String,
    },
}

impl BuildError {
    /// Returns the name of the field of [`HttpOptions`] that is wrong, for callers that know the setting behind it.
    pub const fn option(&self) -> Option<&'static str> {
        match self {
            Self::Certificates { .. } => Some("ca_bundle"),
            Self::Proxy { option, .. } => Some(option),
            Self::Other { .. } => None,
        }
    }
}

/// A request has no response. A response with an error status is a [`Response`], not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The time limit was exceeded.
    #[error("no answer in time")]
    TimedOut,
    /// The connection failed or was lost.
    #[error("{detail}")]
    Unavailable {
        /// The failure, with secrets masked.
        detail: String,
    },
    /// The response is larger than [`HttpOptions::max_body`].
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The address is malformed.
    #[error("the address cannot be used: {detail}")]
    Address {
        /// What is wrong with it.
        detail: String,
    },
    /// The host is in a private network, which [`HttpOptions::public_only`] does not allow.
    #[error("{host} is an address of a private network, which HttpOptions::public_only does not allow")]
    PrivateAddress {
        /// The host as the request names it.
        host: String,
    },
}

impl HttpError {
    pub(crate) fn from_reqwest(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        if let Some(NotPublic { host }) = causes(error).find_map(|cause| cause.downcast_ref()) {
            return Self::PrivateAddress { host: host.clone() };
        }
        if error.is_builder() {
            return Self::Address { detail: describe(error) };
        }
        Self::Unavailable { detail: describe(error) }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// Returns the causes of an error on one line. reqwest's own text is left out: it contains the address, whose query may hold
/// a token.
fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_connect() { "no connection" } else { "the connection failed" };
    causes(error).fold(kind.to_owned(), |text, cause| format!("{text}: {cause}"))
}

/// Sends requests with time limits, retries and redaction. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    timeout: Duration,
    max_body: usize,
    public_only: bool,
    redactor: Redactor,
}

impl HttpClient {
    /// Creates a client. [`crate::install_tls`] must have been called before.
    ///
    /// # Errors
    /// [`BuildError`] if a certificate file or a proxy address cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self, BuildError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::custom(same_host));
        for (option, url) in [("http_proxy", &options.http_proxy), ("https_proxy", &options.https_proxy)] {
            let Some(url) = url else { continue };
            let proxy = if option == "https_proxy" { reqwest::Proxy::https(url) } else { reqwest::Proxy::http(url) };
            let proxy = proxy.map_err(|error| BuildError::Proxy { option, detail: error.to_string() })?;
            let except = options.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
            builder = builder.proxy(proxy.no_proxy(except));
        }
        if let Some(path) = &options.ca_bundle {
            let failed = |detail: String| BuildError::Certificates { path: path.clone(), detail };
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        if options.public_only {
            builder = builder.dns_resolver(std::sync::Arc::new(PublicResolver));
        }
        let inner = builder.build().map_err(|error| BuildError::Other { detail: error.to_string() })?;
        Ok(Self {
            inner,
            timeout: options.timeout,
            max_body: options.max_body,
            public_only: options.public_only,
            redactor: options.redactor.clone(),
        })
    }

    /// Returns the redactor from the options.
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends a request and reads the whole response, whatever its status.
    ///
    /// A [`Retry::Safe`] request is repeated after a lost connection, a time-out, 429 and 5xx, after the wait that the
    /// server asks for or an exponential backoff with jitter. If the server asks for more than 20 s, or answers 429 without
    /// a wait, the response is returned at once and the caller schedules the retry.
    ///
    /// # Errors
    /// [`HttpError`] if the last attempt had no response.
    pub async fn send(&self, request: Request, retry: Retry) -> Result<Response, HttpError> {
        let mut backoff = INITIAL_BACKOFF;
        let mut attempt = 1;
        loop {
            let result = self.send_once(&request).await;
            let hint = match &result {
                Ok(response) if response.status == 429 => Some(wait_hint(&response.headers).unwrap_or(Duration::MAX)),
                Ok(response) if response.status >= 500 => wait_hint(&response.headers),
                Err(HttpError::TimedOut | HttpError::Unavailable { .. }) => None,
                Ok(_) | Err(_) => return result,
            };
            let wait = hint.unwrap_or_else(|| backoff.mul_f64(0.5 + fastrand::f64()));
            if retry == Retry::Never || attempt == MAX_ATTEMPTS || wait > MAX_BACKOFF {
                return result;
            }
            tracing::debug!(http.attempt = attempt, http.wait_ms = wait.as_millis(), "retrying a request");
            tokio::time::sleep(wait).await;
            backoff *= 2;
            attempt += 1;
        }
    }

    /// Sends a request once and returns after the response's headers. `idle` bounds the wait for the headers and for each
    /// following chunk; the client's own time limit does not apply.
    ///
    /// # Errors
    /// [`HttpError`] if there is no response.
    pub async fn stream(&self, request: &Request, idle: Duration) -> Result<StreamingResponse, HttpError> {
        let sent = tokio::time::timeout(idle, self.build(request)?.send()).await;
        let inner = sent.map_err(|_| HttpError::TimedOut)?.map_err(|error| self.redact(&error))?;
        Ok(StreamingResponse { status: inner.status().as_u16(), inner, limit: self.max_body, idle, read: 0 })
    }

    async fn send_once(&self, request: &Request) -> Result<Response, HttpError> {
        let limit = request.timeout.unwrap_or(self.timeout);
        let response = self.build(request)?.timeout(limit).send().await.map_err(|error| self.redact(&error))?;
        tracing::debug!(
            http.method = %request.method,
            http.host = response.url().host_str().unwrap_or_default(),
            http.path = response.url().path(),
            http.status = response.status().as_u16(),
            "sent a request"
        );
        read_bounded(response, self.max_body).await
    }

    fn redact(&self, error: &reqwest::Error) -> HttpError {
        match HttpError::from_reqwest(error) {
            HttpError::Unavailable { detail } => HttpError::Unavailable { detail: self.redactor.redact(&detail) },
            other => other,
        }
    }

    fn build(&self, request: &Request) -> Result<reqwest::RequestBuilder, HttpError> {
        let url = url::Url::parse(&request.url).map_err(|error| HttpError::Address { detail: error.to_string() })?;
        // Host names are checked when they are resolved; IP addresses are not resolved, so they are checked here.
        let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if self.public_only && address.is_some_and(|ip| !is_public(ip)) {
            return Err(HttpError::PrivateAddress { host: url.host_str().unwrap_or_default().to_owned() });
        }
        let mut builder = self.inner.request(request.method.clone(), url);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        for (name, value) in &request.secret_headers {
            builder = builder.header(*name, value.expose());
        }
        if let Some(token) = &request.bearer {
            builder = builder.bearer_auth(token.expose());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        Ok(builder)
    }
}

/// Follows redirects on the same origin only, such as those of renamed repositories: the request's headers carry credentials.
fn same_host(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let Some(first) = attempt.previous().first() else { return attempt.stop() };
    let next = attempt.url();
    let same = first.scheme() == next.scheme()
        && first.host_str() == next.host_str()
        && first.port_or_known_default() == next.port_or_known_default();
    if same && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_of_a_private_network_are_refused_without_a_retry() {
        crate::install_tls();
        let client = HttpClient::new(&HttpOptions { public_only: true, ..HttpOptions::default() }).unwrap();
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let error = client.send(Request::get(format!("http://{host}:1/")), Retry::Safe).await.unwrap_err();
            assert_eq!(error, HttpError::PrivateAddress { host: host.to_owned() });
        }
    }

    #[test]
    fn a_wrong_option_is_named() {
        crate::install_tls();
        let options = HttpOptions { ca_bundle: Some("/nowhere/ca.pem".into()), ..HttpOptions::default() };
        let error = HttpClient::new(&options).unwrap_err();
        assert_eq!(error.option(), Some("ca_bundle"));
        assert!(error.to_string().starts_with("HttpOptions::ca_bundle /nowhere/ca.pem cannot be used"), "{error}");
        let options = HttpOptions { https_proxy: Some("http://".into()), ..HttpOptions::default() };
        assert_eq!(HttpClient::new(&options).unwrap_err().option(), Some("https_proxy"));
    }
}
