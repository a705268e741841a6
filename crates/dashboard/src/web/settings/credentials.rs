//! Credentials of forges.

use patchwright_core::Secret;
use patchwright_domain::PlatformId;
use patchwright_domain::credential::Credential;
use patchwright_management::{Management, ManagementError, NewCredential};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, end_of_day, no_such_action, parse_id};
use crate::Translations;
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let (w, all) = (context.translations, context.management.credentials().list(context.principal).await?);
    let row = |credential: &Credential| {
        let ends = if credential.expires_soon(context.now) {
            Cell::Chip("pending_merge", w.ends_soon.to_owned())
        } else {
            Cell::Time(credential.expires_at)
        };
        Row {
            cells: vec![
                Cell::Name(credential.name.clone(), format!("{} · {}", credential.platform, credential.scope)),
                Cell::Text(credential.login.clone()),
                Cell::Code(credential.fingerprint.clone()),
                ends,
                Cell::Time(credential.last_used_at),
            ],
            buttons: vec![Button::new(w.remove, format!("/settings/credentials/{}/remove", credential.id)).removing()],
            links: vec![],
        }
    };
    let listing = Listing {
        columns: vec![w.name, w.account, w.fingerprint, w.ends, w.last_used],
        rows: all.iter().map(row).collect(),
        empty: w.no_credentials,
        ..Listing::default()
    };
    Ok(SettingsView { listings: vec![listing], forms: vec![form(w, context.management)], next: None })
}

/// The form that adds a credential.
pub(in crate::web) fn form(w: &'static Translations, management: &Management) -> FormView {
    FormView {
        title: w.add_credential,
        action: "/settings/credentials/add".to_owned(),
        fields: vec![
            Field::text("name", w.name, "deploy"),
            Field::text("platform", w.platform, "").of(Input::Choice(credential_platforms(management))),
            Field::text("scope", w.scope, w.scope_hint),
            Field::text("secret", w.forge_token, "").of(Input::Secret),
            Field::text("expires_at", w.ends, "").of(Input::Day).optional(),
        ],
        submit: w.add,
        problem: None,
    }
}

/// Returns the platforms that can have credentials, as choices of a field.
fn credential_platforms(management: &Management) -> Vec<(String, String)> {
    let platforms = management.platforms().iter().filter(|platform| platform.credentials.is_some());
    platforms.map(|platform| (platform.id.to_string(), platform.name.to_owned())).collect()
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let new = NewCredential {
        name: form.text("name").unwrap_or_default(),
        platform: PlatformId::new(form.get("platform")),
        scope: form.text("scope").unwrap_or_default(),
        secret: Secret::new(form.get("secret").trim()),
        expires_at: end_of_day(form, "expires_at")?,
    };
    context.management.credentials().create(context.principal, new).await?;
    Ok(FormOutcome::done(context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
) -> Result<FormOutcome, ManagementError> {
    match action {
        "remove" => {
            context.management.credentials().delete(context.principal, parse_id(id, "credential")?).await?;
            Ok(FormOutcome::done(context))
        }
        _ => Err(no_such_action()),
    }
}
