//! The effective settings, and the checks.

use actix_web::{HttpResponse, web};
use patchwright_management::{Finding, ManagementError};

use super::super::State;
use super::super::form::Submission;
use super::super::page_request::{PageError, PageRequest};
use crate::page::{ConfigurationPage, Page as _};

pub(super) fn render(
    page: &PageRequest,
    state: &State,
    findings: Option<&[Finding]>,
) -> Result<String, ManagementError> {
    page.principal.require_admin()?;
    Ok(ConfigurationPage { layout: &page.layout, settings: &state.options.settings, findings }.html())
}

/// Runs all checks, and shows their results.
pub(in crate::web) async fn check(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = page.at("/settings/configuration");
    let html = match page.principal.require_admin() {
        Ok(()) => render(&page, &state, Some(&state.options.diagnostics.check_all().await)),
        Err(error) => Err(error),
    };
    page.render(html)
}
