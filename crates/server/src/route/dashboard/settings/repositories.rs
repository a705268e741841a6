//! Repositories.

use actix_web::web::Path;
use patchwright_core::repositories::Repositories as _;
use patchwright_dashboard::Words;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, choices, no_such_action};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::repositories;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let (w, all) = (look.words, look.server.app.store.repositories().await?);
    let admin = look.caller.is_admin();
    let row = |repository: &patchwright_core::repositories::RegisteredRepository| {
        let at = |verb| format!("/settings/repositories/{}/{verb}", repository.id);
        let buttons = if admin {
            vec![Button::new(w.sync, at("sync")), Button::new(w.remove, at("remove")).removing()]
        } else {
            vec![]
        };
        Row {
            cells: vec![
                Cell::Name(repository.name.to_string(), String::new()),
                Cell::Text(repository.platform.as_str().to_owned()),
                Cell::Time(repository.synced_at),
                Cell::Time(Some(repository.created_at)),
            ],
            buttons,
            links: vec![(w.issues, format!("/issues?repository={}", repository.name))],
        }
    };
    let listing = Listing {
        columns: vec![w.repository, w.platform, w.synced, w.added_at],
        rows: all.iter().map(row).collect(),
        empty: w.no_repositories,
        ..Listing::default()
    };
    Ok(Parts { listings: vec![listing], forms: admin.then(|| form(w)).into_iter().collect(), next: None })
}

/// The form that adds a repository.
pub(in crate::route::dashboard) fn form(w: &'static Words) -> FormView {
    FormView {
        title: w.add_repository,
        action: "/settings/repositories/add".to_owned(),
        fields: vec![
            Field::text("platform", w.platform, "").of(Input::Choice(choices(["github", "gitcode", "local"]))),
            Field::text("name", w.name, "owner/name"),
        ],
        submit: w.add,
    }
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let body = body_of([("platform", form.value("platform")), ("name", form.value("name"))])?;
    repositories::add(By(look.caller.clone(), body), look.server.clone()).await?;
    Ok(Done::plain(look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str)) -> Result<Done, ApiError> {
    let (caller, id, server) = (look.caller.clone(), Path::from(id.to_owned()), look.server.clone());
    match verb {
        "sync" => repositories::sync(caller, id, server).await?,
        "remove" => repositories::remove(caller, id, server).await?,
        _ => return Err(no_such_action()),
    };
    Ok(Done::plain(look.words))
}
