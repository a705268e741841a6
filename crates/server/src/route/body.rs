//! The body of a request: one JSON object.

use std::future::Future;
use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::auth::header;

/// The largest body: a batch of 10,000 ids fits.
const MAX_BYTES: usize = 1 << 20;

/// A body that was read. serde would take an array for a struct, field by field in their order; nobody who writes one
/// means that, so an object is asked for.
#[derive(Debug)]
pub(crate) struct Body<T, const MAX: usize = MAX_BYTES>(pub(crate) T);

impl<T: DeserializeOwned + 'static, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let is_json =
            header(request, "content-type").is_some_and(|value| value.trim_start().starts_with("application/json"));
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::MediaType);
            }
            let payload = payload.await.map_err(|error| ApiError::bad("bad_body", error.to_string()))?;
            let bytes = payload.to_bytes_limited(MAX).await.map_err(|_| ApiError::TooLarge)?;
            let bytes = bytes.map_err(|error| ApiError::bad("bad_body", error.to_string()))?;
            parse(&bytes).map(Self)
        })
    }
}

/// Who asks, and what they send. Who it is is found out first, so that nobody else learns what a body should be like.
#[derive(Debug)]
pub(crate) struct By<C, T, const MAX: usize = MAX_BYTES>(pub(crate) C, pub(crate) T);

impl<C, T, const MAX: usize> FromRequest for By<C, T, MAX>
where
    C: FromRequest<Error = ApiError> + 'static,
    T: DeserializeOwned + 'static,
{
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

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

/// Reads an object.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::bad("bad_body", "the body is not a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad("bad_body", error.to_string()))
}

/// Reads a whole number that may be written with a fraction of zero: to JSON Schema `13.0` is an integer.
pub(crate) fn whole<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<u16>, D::Error> {
    let Some(number) = <Option<f64> as serde::Deserialize>::deserialize(given)? else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is refused")]
    let whole = number as u16;
    if (f64::from(whole) - number).abs() < f64::EPSILON {
        Ok(Some(whole))
    } else {
        Err(serde::de::Error::custom(format!("{number} is no whole number from 0 to 65535")))
    }
}
