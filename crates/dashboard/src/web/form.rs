//! Forms that a page sends.

use std::future::Future;
use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, web};
use patchwright_management::{ManagementError, check_same_origin, is_local_path};
use url::form_urlencoded;

use super::header_of;
use super::page_request::{PageError, PageRequest};

/// The largest form in bytes: a page of ids, or a long text, fits.
const MAX_FORM_BYTES: usize = 128 << 10;

/// The fields of a form, in order.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Returns a field; empty when it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns a field without the white space around it; `None` when nothing is left.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name).trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Returns all fields of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the page to go to afterwards: the one that the form was on.
    pub(super) fn return_to<'a>(&'a self, otherwise: &'a str) -> &'a str {
        Some(self.get("return_to")).filter(|path| is_local_path(path)).unwrap_or(otherwise)
    }
}

impl FromRequest for Form {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        let payload = web::Payload::from_request(&request, payload);
        Box::pin(async move {
            let origin = check_same_origin(header_of(&request, "origin"), header_of(&request, "host"));
            origin.map_err(|error| PageError::new(&request, error))?;
            let invalid = |detail: String| PageError::new(&request, ManagementError::invalid("bad_form", detail));
            let payload = payload.await.map_err(|error| invalid(error.to_string()))?;
            let bytes = payload.to_bytes_limited(MAX_FORM_BYTES).await;
            let bytes = bytes.map_err(|_| invalid("the form is too large".to_owned()))?;
            let bytes = bytes.map_err(|error| invalid(error.to_string()))?;
            Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
        })
    }
}

/// A form of a viewer who may send it: the CSRF token of their session is in it.
pub(super) struct Submission {
    pub(super) page: PageRequest,
    pub(super) form: Form,
}

impl FromRequest for Submission {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut actix_web::dev::Payload) -> Self::Future {
        let page = PageRequest::from_request(request, payload);
        let form = Form::from_request(request, payload);
        Box::pin(async move {
            // The viewer is identified first, so that no form of anybody else is read.
            let page = page.await?;
            let form = form.await?;
            match page.principal.require_csrf(Some(form.get("csrf"))) {
                Ok(()) => Ok(Self { page, form }),
                Err(error) => Err(page.error(error)),
            }
        })
    }
}
