//! The client.

use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::Redactor;

use crate::public::{PublicOnly, is_public, refusal};
use crate::request::Request;
use crate::response::{Response, Streaming, read_capped, wait_hint};

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Sent with each request. GitHub refuses requests without one.
    pub user_agent: String,
    /// The longest time for one try, body included.
    pub timeout: Duration,
    /// The longest time until a connection stands.
    pub connect_timeout: Duration,
    /// The largest answer that is read.
    pub max_body: usize,
    /// Certificates to trust beside the system's, as a PEM file.
    pub ca_bundle: Option<PathBuf>,
    /// A proxy for `http://` addresses.
    pub http_proxy: Option<String>,
    /// A proxy for `https://` addresses.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without it, comma separated.
    pub no_proxy: Option<String>,
    /// Whether addresses that only this network reaches are refused. What a proxy reaches, the proxy decides.
    pub public_only: bool,
    /// Masks secrets in errors and logs.
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

/// Whether a request may be sent again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It changes nothing, or the same thing to the same state: sent up to four times.
    Safe,
    /// A second one could have a second effect: sent once.
    Never,
}

/// How often a safe request is sent at the most.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A longer wait than this is the caller's to plan.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The most redirects on one host.
const REDIRECTS: usize = 5;

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The certificates cannot be read.
    #[error("CA_BUNDLE {path} cannot be used: {detail}")]
    Certificates {
        /// Which file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A proxy's address makes no sense.
    #[error("the proxy address cannot be used: {detail}")]
    Proxy {
        /// Why.
        detail: String,
    },
    /// Something else.
    #[error("the HTTP client cannot be built: {detail}")]
    Other {
        /// Why.
        detail: String,
    },
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or it broke.
    #[error("{detail}")]
    Unavailable {
        /// What was seen, secrets masked.
        detail: String,
    },
    /// The answer is larger than the cap.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap.
        limit: usize,
    },
    /// The address makes no sense.
    #[error("the address cannot be used: {detail}")]
    Address {
        /// Why.
        detail: String,
    },
}

impl HttpError {
    pub(crate) fn from_reqwest(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        if error.is_builder() {
            return Self::Address { detail: chain(error) };
        }
        Self::Unavailable { detail: chain(error) }
    }
}

/// An error with its causes, without the address: it may hold a token in its query.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() { "no connection".to_owned() } else { "the connection failed".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
    timeout: Duration,
    max_body: usize,
    public_only: bool,
    redactor: Redactor,
}

impl HttpClient {
    /// Builds a client. [`crate::install_tls`] must have been called.
    ///
    /// # Errors
    /// [`BuildError`] when a certificate file or a proxy address cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self, BuildError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::custom(same_host));
        for (url, is_https) in [(&options.http_proxy, false), (&options.https_proxy, true)] {
            let Some(url) = url else { continue };
            let proxy = if is_https { reqwest::Proxy::https(url) } else { reqwest::Proxy::http(url) };
            let proxy = proxy.map_err(|error| BuildError::Proxy { detail: error.to_string() })?;
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
            builder = builder.dns_resolver(std::sync::Arc::new(PublicOnly));
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

    /// The masker that this client was built with.
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends a request and reads the answer, whatever its status. A safe one is sent again on a broken connection, a
    /// time-out, 429 and 5xx, after the other side's own hint or an exponential wait; when the hint is longer than
    /// 20 s, the answer is returned at once and the caller plans the wait.
    ///
    /// # Errors
    /// [`HttpError`] when the last try had no answer.
    pub async fn send(&self, request: Request, retry: Retry) -> Result<Response, HttpError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let result = self.once(&request).await;
            let hint = match &result {
                // Who asks to slow down without saying for how long is not asked again at once: the caller plans that.
                Ok(response) if response.status == 429 => Some(wait_hint(&response.headers).unwrap_or(Duration::MAX)),
                Ok(response) if response.status >= 500 => wait_hint(&response.headers),
                Ok(_) | Err(HttpError::TooLarge { .. } | HttpError::Address { .. }) => return result,
                Err(HttpError::TimedOut | HttpError::Unavailable { .. }) => None,
            };
            let pause = hint.unwrap_or_else(|| wait.mul_f64(0.5 + fastrand::f64()));
            if retry == Retry::Never || attempt == TRIES || pause > LONGEST_WAIT {
                return result;
            }
            tracing::debug!(http.attempt = attempt, http.wait_ms = pause.as_millis(), "the request is sent again");
            tokio::time::sleep(pause).await;
            wait *= 2;
            attempt += 1;
        }
    }

    /// Sends a request once and returns as soon as the head of the answer is there.
    ///
    /// # Errors
    /// [`HttpError`] when there is none. `idle` bounds the wait for the head and for each next piece.
    pub async fn stream(&self, request: &Request, idle: Duration) -> Result<Streaming, HttpError> {
        let sent = tokio::time::timeout(idle, self.build(request)?.send()).await;
        let inner = sent.map_err(|_| HttpError::TimedOut)?.map_err(|error| self.masked(&error))?;
        Ok(Streaming { status: inner.status().as_u16(), inner, limit: self.max_body, idle, read: 0 })
    }

    async fn once(&self, request: &Request) -> Result<Response, HttpError> {
        let limit = request.timeout.unwrap_or(self.timeout);
        let response = self.build(request)?.timeout(limit).send().await.map_err(|error| self.masked(&error))?;
        tracing::debug!(
            http.method = %request.method,
            http.host = response.url().host_str().unwrap_or_default(),
            http.path = response.url().path(),
            http.status = response.status().as_u16(),
            "an outgoing request was answered"
        );
        read_capped(response, self.max_body).await
    }

    fn masked(&self, error: &reqwest::Error) -> HttpError {
        match HttpError::from_reqwest(error) {
            HttpError::Unavailable { detail } => HttpError::Unavailable { detail: self.redactor.redact(&detail) },
            other => other,
        }
    }

    fn build(&self, request: &Request) -> Result<reqwest::RequestBuilder, HttpError> {
        let url = url::Url::parse(&request.url).map_err(|error| HttpError::Address { detail: error.to_string() })?;
        // A name is looked at when it is looked up; an address stands for itself.
        let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if self.public_only && address.is_some_and(|ip| !is_public(ip)) {
            return Err(HttpError::Address { detail: refusal(url.host_str().unwrap_or_default()) });
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

/// Renamed repositories answer with a redirect on the same host. Another host is not followed: not with our headers.
fn same_host(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let Some(first) = attempt.previous().first() else { return attempt.stop() };
    let next = attempt.url();
    let same = first.scheme() == next.scheme()
        && first.host_str() == next.host_str()
        && first.port_or_known_default() == next.port_or_known_default();
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}
