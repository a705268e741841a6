//! The settings in force, and whether everything that is needed is there.

use actix_web::HttpResponse;
use patchwright_dashboard::page::{ConfigurationPage, Finding, Page as _, SettingRow};

use super::super::form::Posted;
use super::super::visit::{NotShown, Visit};
use super::Server;
use crate::config::Source;
use crate::doctor::examine;
use crate::route::error::ApiError;

pub(super) fn page(visit: &Visit, server: &Server, findings: Option<&[Finding]>) -> Result<String, ApiError> {
    visit.caller.need_admin()?;
    let row = |(setting, value, source): (&'static crate::settings::Setting, String, &Source)| SettingRow {
        name: setting.name,
        value,
        source: source.to_string(),
        doc: setting.doc,
        is_set: !matches!(source, Source::Default),
    };
    let settings: Vec<SettingRow> = server.config.values.shown().map(row).collect();
    Ok(ConfigurationPage { frame: &visit.frame, settings: &settings, findings }.html())
}

/// Looks at everything, and shows what was found.
pub(in crate::route::dashboard) async fn check(
    Posted { visit, .. }: Posted,
    state: Server,
) -> Result<HttpResponse, NotShown> {
    let visit = visit.at("/settings/configuration");
    let html = match visit.caller.need_admin() {
        Ok(()) => page(&visit, &state, Some(&examine(&state.app, &state.config).await)),
        Err(error) => Err(error),
    };
    visit.shown(html)
}
