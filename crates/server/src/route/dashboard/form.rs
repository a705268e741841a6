//! What a form of a page sends.

use std::future::Future;
use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, web};
use url::form_urlencoded;

use super::visit::{NotShown, Visit};
use crate::auth::same_origin;
use crate::route::answer::is_path_of_ours;
use crate::route::error::ApiError;

/// The largest form: a page of ids, or long words, fit.
const MAX_BYTES: usize = 128 << 10;

/// The fields of a form, in their order.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The field of this name; nothing where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All fields of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where to go then: the page that the form was on.
    pub(super) fn return_to<'a>(&'a self, otherwise: &'a str) -> &'a str {
        Some(self.get("return_to")).filter(|path| is_path_of_ours(path)).unwrap_or(otherwise)
    }
}

impl FromRequest for Form {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let of_ours = same_origin(request);
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            of_ours?;
            let unreadable = |error: actix_web::Error| ApiError::bad("bad_form", error.to_string());
            let payload = payload.await.map_err(unreadable)?;
            let bytes = payload.to_bytes_limited(MAX_BYTES).await.map_err(|_| ApiError::TooLarge)?;
            let bytes = bytes.map_err(unreadable)?;
            Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
        })
    }
}

/// A form of somebody who may send it: their session's CSRF token is in it.
pub(super) struct Posted {
    pub(super) visit: Visit,
    pub(super) form: Form,
}

impl FromRequest for Posted {
    type Error = NotShown;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotShown>>>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let visit = Visit::from_request(request, payload);
        let form = Form::from_request(request, payload);
        Box::pin(async move {
            // Who it is comes first, so that nobody else's form is read.
            let visit = visit.await?;
            match form.await.and_then(|form| visit.caller.need_csrf(Some(form.get("csrf"))).map(|()| form)) {
                Ok(form) => Ok(Self { visit, form }),
                Err(error) => Err(visit.failed(error)),
            }
        })
    }
}
