//! Requests that can be sent more than once.

use bytes::Bytes;
use patchwright_core::Secret;
use reqwest::Method;
use serde::Serialize;

/// A request with its body in memory.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) bearer: Option<Secret>,
    pub(crate) secret_headers: Vec<(&'static str, Secret)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Option<std::time::Duration>,
}

impl Request {
    /// Creates a request.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            query: Vec::new(),
            bearer: None,
            secret_headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// Creates a GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// Creates a POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url)
    }

    /// Creates a PATCH request.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new(Method::PATCH, url)
    }

    /// Creates a PUT request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new(Method::PUT, url)
    }

    /// Creates a DELETE request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// Returns the address with the query parameters, unencoded: a key for caches, not an address to send to.
    pub fn url_with_query(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", self.url, query.join("&"))
    }

    /// Adds a header whose value is a secret; `Debug` does not show it.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: &Secret) -> Self {
        self.secret_headers.push((name, value.clone()));
        self
    }

    /// Sets a JSON body that is sent byte for byte, for bodies that are signed.
    #[must_use]
    pub fn raw_json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", "application/json")
    }

    /// Sets a body without a content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a header. Secrets belong into [`Self::secret_header`] or [`Self::bearer`].
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a query parameter. It is percent-encoded.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Authenticates with a bearer token.
    #[must_use]
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.bearer = Some(token.clone());
        self
    }

    /// Serializes a value as the JSON body.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("request structs have string keys and finite numbers");
        self.body = Some(bytes.into());
        self.header("content-type", "application/json")
    }

    /// Replaces the client's time limit for this request.
    #[must_use]
    pub const fn timeout(mut self, limit: std::time::Duration) -> Self {
        self.timeout = Some(limit);
        self
    }
}
