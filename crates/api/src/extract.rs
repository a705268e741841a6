//! Extractors: the caller of a request, and the JSON object that is its body.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use actix_web::http::{Method, Version};
use actix_web::{FromRequest, HttpRequest, web};
use patchwright_domain::node::Node;
use patchwright_management::{Client, Connection, Management, ManagementError, Principal, RequestIdentity};
use serde::de::DeserializeOwned;

use crate::State;
use crate::error::ApiError;
use patchwright_management::SESSION_COOKIE;

/// The header that unsafe requests of a session carry: a page of another site can send the cookie, but not this.
const CSRF_HEADER: &str = "x-csrf-token";
/// The largest body: a batch of 10,000 ids fits.
const MAX_BODY_BYTES: usize = 1 << 20;

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

fn state_of(request: &HttpRequest) -> web::Data<State> {
    request.app_data::<web::Data<State>>().expect("every route has the state").clone()
}

/// Returns a header when it is text.
pub(crate) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Parses the id in a path: what cannot be an id does not exist.
pub(crate) fn parse_id<T: FromStr>(text: &str, kind: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(kind))
}

/// Returns the client of a request.
pub(crate) fn client_of(request: &HttpRequest, management: &Management) -> Client {
    let values = |name: &str| {
        let values: Vec<&str> = request.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    management.client(&Connection {
        peer: request.peer_addr().map(|peer| peer.ip()),
        host: header(request, "host"),
        is_http_1_0: request.version() <= Version::HTTP_10,
        header: &values,
    })
}

/// The authenticated principal of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let cookie = request.cookie(SESSION_COOKIE);
            let state = state_of(&request);
            let client = client_of(&request, &state.management);
            let identity = RequestIdentity {
                authorization: header(&request, "authorization"),
                session: cookie.as_ref().map(actix_web::cookie::Cookie::value),
                origin: header(&request, "origin"),
                host: header(&request, "host"),
                client: Some(&client),
            };
            let principal = state.management.sessions().authenticate(identity).await?;
            if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
                principal.require_csrf(header(&request, CSRF_HEADER))?;
            }
            Ok(Self(principal))
        })
    }
}

/// The node of a request, by its token.
#[derive(Debug, Clone)]
pub(crate) struct NodeCaller(pub(crate) Node);

impl NodeCaller {
    /// Requires that the path names the node itself.
    pub(crate) fn require_self(&self, id: &str) -> Result<(), ApiError> {
        if id.parse() == Ok(self.0.id) { Ok(()) } else { Err(ApiError::not_found("node")) }
    }
}

impl FromRequest for NodeCaller {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let nodes = state_of(&request);
            Ok(Self(nodes.management.nodes().authenticate(header(&request, "authorization")).await?))
        })
    }
}

/// A JSON object. serde would also read an array into a struct, field by field in order, which is not intended.
#[derive(Debug)]
pub(crate) struct Body<T, const MAX: usize = MAX_BODY_BYTES>(pub(crate) T);

impl<T: DeserializeOwned + 'static, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let is_json =
            header(request, "content-type").is_some_and(|value| value.trim_start().starts_with("application/json"));
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::MediaType);
            }
            let payload = payload.await.map_err(|error| ApiError::invalid("bad_body", error.to_string()))?;
            let bytes = payload.to_bytes_limited(MAX).await.map_err(|_| ApiError::TooLarge)?;
            let bytes = bytes.map_err(|error| ApiError::invalid("bad_body", error.to_string()))?;
            parse_object(&bytes).map(Self)
        })
    }
}

/// The caller and the body. The caller is authenticated first, so that errors about the body are not shown to others.
#[derive(Debug)]
pub(crate) struct Authenticated<C, T, const MAX: usize = MAX_BODY_BYTES>(pub(crate) C, pub(crate) T);

impl<C, T, const MAX: usize> FromRequest for Authenticated<C, T, MAX>
where
    C: FromRequest<Error = ApiError> + 'static,
    T: DeserializeOwned + 'static,
{
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let caller = C::from_request(request, payload);
        let body = Body::<T, MAX>::from_request(request, payload);
        Box::pin(async move {
            let caller = caller.await?;
            let Body(body) = body.await?;
            Ok(Self(caller, body))
        })
    }
}

/// Reads a JSON object.
pub(crate) fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("bad_body", "the body is not a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid("bad_body", error.to_string()))
}

/// Reads the body of a request that may send none, such as that of a button.
pub(crate) fn parse_optional<T: DeserializeOwned + Default>(body: &str) -> Result<T, ApiError> {
    if body.is_empty() { Ok(T::default()) } else { parse_object(body.as_bytes()) }
}

/// Parses a value of a fixed set.
pub(crate) fn parse_word<T>(
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
    code: &'static str,
    expected: &str,
) -> Result<T, ApiError> {
    parse(text).ok_or_else(|| ApiError::Management(ManagementError::invalid(code, expected)))
}
