//! The effective settings, and the checks.

use actix_web::{HttpResponse, web};
use patchwright_management::{Finding, ManagementError};

use super::super::State;
use super::super::form::Submission;
use super::super::page_request::{PageError, PageRequest};
use crate::page::{ConfigurationPage, Page as _, SettingRow};

pub(super) fn render(
    page: &PageRequest,
    state: &State,
    (search, changed_only): (&str, bool),
    findings: Option<&[Finding]>,
) -> Result<String, ManagementError> {
    page.principal.require_admin()?;
    let wanted = search.trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let is_shown = |setting: &&SettingRow| {
        (setting.is_set || !changed_only) && (has(setting.name) || has(&setting.value) || has(setting.doc))
    };
    let settings = state.options.settings.iter().filter(is_shown).collect();
    Ok(ConfigurationPage { layout: &page.layout, settings, search, changed_only, findings }.html())
}

/// Runs all checks, and shows their results.
pub(in crate::web) async fn check(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = page.at("/settings/configuration");
    let html = match page.principal.require_admin() {
        Ok(()) => render(&page, &state, ("", false), Some(&state.options.diagnostics.check_all().await)),
        Err(error) => Err(error),
    };
    page.render(html)
}
