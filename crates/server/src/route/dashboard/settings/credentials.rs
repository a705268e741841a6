//! What opens forges.

use actix_web::web::Path;
use patchwright_core::credentials::Credentials as _;
use patchwright_dashboard::Words;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};
use patchwright_domain::credential::Credential;

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, choices, no_such_action};
use crate::route::body::By;
use crate::route::credentials;
use crate::route::error::ApiError;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let (w, all) = (look.words, look.server.app.vault.credentials().await?);
    let row = |credential: &Credential| {
        let ends = if credential.expires_soon(look.now) {
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
    Ok(Parts { listings: vec![listing], forms: vec![form(w)], next: None })
}

/// The form that adds a credential.
pub(in crate::route::dashboard) fn form(w: &'static Words) -> FormView {
    FormView {
        title: w.add_credential,
        action: "/settings/credentials/add".to_owned(),
        fields: vec![
            Field::text("name", w.name, "deploy"),
            Field::text("platform", w.platform, "").of(Input::Choice(choices(["github", "gitcode"]))),
            Field::text("scope", w.scope, w.scope_hint),
            Field::text("secret", w.forge_token, "").of(Input::Secret),
            Field::text("expires_at", w.ends, "").of(Input::Day).optional(),
        ],
        submit: w.add,
    }
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let body = body_of([
        ("name", form.value("name")),
        ("platform", form.value("platform")),
        ("scope", form.value("scope")),
        ("secret", form.value("secret")),
        ("expires_at", form.end_of("expires_at")),
    ])?;
    credentials::add(By(look.caller.clone(), body), look.server.clone()).await?;
    Ok(Done::plain(look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str)) -> Result<Done, ApiError> {
    match verb {
        "remove" => {
            credentials::remove(look.caller.clone(), Path::from(id.to_owned()), look.server.clone()).await?;
            Ok(Done::plain(look.words))
        }
        _ => Err(no_such_action()),
    }
}
