//! One's own tokens.

use actix_web::web::Path;
use patchwright_core::accounts::{Accounts as _, ApiToken};
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};
use patchwright_domain::user::Scope;
use serde_json::Value;

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, no_such_action, read};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::users;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let w = look.words;
    // The operator of this machine has none, and needs none.
    let all = match look.caller.id {
        Some(id) => look.server.app.store.tokens(id).await?,
        None => Vec::new(),
    };
    let scope = |scope: Scope| match scope {
        Scope::Read => w.scope_read,
        Scope::Write => w.scope_write,
        Scope::Admin => w.scope_admin,
    };
    let row = |token: &ApiToken| Row {
        cells: vec![
            Cell::Name(token.name.clone(), String::new()),
            Cell::Text(scope(token.scope).to_owned()),
            Cell::Text(token.expires_at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()),
            Cell::Time(token.last_used_at),
        ],
        buttons: vec![Button::new(w.end_token, format!("/settings/tokens/{}/end", token.id)).removing()],
        links: vec![],
    };
    let listing = Listing {
        columns: vec![w.name, w.may, w.ends, w.last_used],
        rows: all.iter().map(row).collect(),
        empty: w.no_tokens,
        ..Listing::default()
    };
    let scopes = [Scope::Read, Scope::Write, Scope::Admin];
    let scopes = scopes.map(|one| (one.as_str().to_owned(), scope(one).to_owned())).into();
    let form = FormView {
        title: w.add_token,
        action: "/settings/tokens/add".to_owned(),
        fields: vec![
            Field::text("name", w.name, "laptop"),
            Field::text("scope", w.may, "").of(Input::Choice(scopes)),
            Field::text("expires_in_days", w.days, "90").of(Input::Number),
        ],
        submit: w.add,
    };
    Ok(Parts { listings: vec![listing], forms: look.caller.id.map(|_| form).into_iter().collect(), next: None })
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let days = form.get("expires_in_days").parse::<u32>().map_or(Value::Null, Value::from);
    let body = body_of([("name", form.value("name")), ("scope", form.value("scope")), ("expires_in_days", days)])?;
    let made = read(users::add_token(By(look.caller.clone(), body), look.server.clone()).await?).await?;
    Ok(Done::secret(&made, "secret", look.words.api_token.to_owned(), look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str)) -> Result<Done, ApiError> {
    match verb {
        "end" => {
            users::end_token(look.caller.clone(), Path::from(id.to_owned()), look.server.clone()).await?;
            Ok(Done::plain(look.words))
        }
        _ => Err(no_such_action()),
    }
}
