//! The effective settings, what administrators change of them, and the checks.

use actix_web::{HttpResponse, web};
use patchwright_core::Secret;
use patchwright_management::{EffectiveSetting, Finding, ManagementError};

use super::super::State;
use super::super::form::Submission;
use super::super::page_request::{PageError, PageRequest, detail_of};
use crate::page::{ConfigurationPage, EditedSetting, Page as _};

/// What the page shows.
#[derive(Default)]
pub(super) struct ConfigurationView<'a> {
    /// The text that a setting's name, value or description has.
    pub(super) search: &'a str,
    pub(super) changed_only: bool,
    /// The setting that is being changed, and what was typed and refused.
    pub(super) edited: Option<(&'a str, Option<(&'a str, String)>)>,
    pub(super) findings: Option<&'a [Finding]>,
}

pub(super) fn render(
    page: &PageRequest,
    state: &State,
    view: ConfigurationView<'_>,
) -> Result<String, ManagementError> {
    let wanted = view.search.trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let is_shown = |setting: &EffectiveSetting| {
        let is_edited = view.edited.as_ref().is_some_and(|(name, _)| *name == setting.name);
        let matches = has(setting.name) || has(&setting.value) || has(page.translations().doc_of(setting));
        is_edited || ((setting.is_set || !view.changed_only) && matches)
    };
    let mut settings = state.management.settings().list(&page.principal)?;
    settings.retain(is_shown);
    let edited = view.edited.and_then(|(name, refused)| {
        let setting = settings.iter().find(|setting| setting.name == name)?;
        let (typed, problem) = match refused {
            Some((typed, problem)) => (typed, Some(problem)),
            None => (setting.value.as_str(), None),
        };
        // A secret is typed again.
        Some(EditedSetting { name, typed: if setting.is_secret { "" } else { typed }, problem })
    });
    Ok(ConfigurationPage {
        layout: &page.layout,
        settings: &settings,
        edited,
        now: state.management.now(),
        search: view.search,
        changed_only: view.changed_only,
        findings: view.findings,
    }
    .html())
}

/// Runs all checks, and shows their results.
pub(in crate::web) async fn check(
    Submission { page, .. }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let page = page.at("/settings/configuration");
    let html = match page.principal.require_admin() {
        Ok(()) => {
            let findings = state.options.diagnostics.check_all().await;
            render(&page, &state, ConfigurationView { findings: Some(&findings), ..ConfigurationView::default() })
        }
        Err(error) => Err(error),
    };
    page.render(html)
}

/// Changes a setting, or removes its stored value. A value that is refused is shown again with the reason.
pub(in crate::web) async fn change(
    Submission { page, form }: Submission,
    path: web::Path<(String, String)>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let (name, action) = path.into_inner();
    let page = page.at("/settings/configuration");
    let typed = form.get("value");
    let value = match action.as_str() {
        "change" => Some(Secret::new(typed.trim())),
        "remove" => None,
        _ => return Err(page.error(super::no_such_action())),
    };
    let return_to = format!("/settings/configuration?changed=true#{name}");
    match state.management.settings().change(&page.principal, vec![(name.clone(), value)]).await {
        Ok(()) => {
            let done = page.translations().done;
            page.respond(Ok(done), &return_to)
        }
        Err(error @ (ManagementError::Invalid { .. } | ManagementError::Conflict { .. })) if !page.is_script() => {
            let edited = Some((name.as_str(), Some((typed, detail_of(&error, page.translations())))));
            let html =
                render(&page, &state, ConfigurationView { edited, changed_only: true, ..ConfigurationView::default() });
            page.refuse(error, html)
        }
        Err(error) => Err(page.error(error)),
    }
}
