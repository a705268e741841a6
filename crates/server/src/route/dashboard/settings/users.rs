//! People.

use actix_web::web::Path;
use patchwright_core::accounts::Accounts as _;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};
use patchwright_domain::Role;
use patchwright_domain::user::User;
use serde_json::{Value, json};

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, no_such_action};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::users;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let (w, all) = (look.words, look.server.app.store.users().await?);
    let row = |user: &User| {
        let at = |verb| format!("/settings/users/{}/{verb}", user.id);
        let (role, other, other_name) = match user.role {
            Role::Admin => (w.role_admin, Role::Member, w.make_member),
            Role::Member => (w.role_member, Role::Admin, w.make_admin),
        };
        let (class, state, active, active_name) = if user.active {
            ("succeeded", w.active, "false", w.shut_out)
        } else {
            ("failed", w.inactive, "true", w.let_in)
        };
        Row {
            cells: vec![
                Cell::Name(user.login.to_string(), String::new()),
                Cell::Text(role.to_owned()),
                Cell::Chip(class, state.to_owned()),
                Cell::Time(Some(user.created_at)),
            ],
            buttons: vec![
                Button::new(other_name, at("role")).with("role", other.as_str()),
                Button::new(active_name, at("active")).with("active", active),
            ],
            links: vec![],
        }
    };
    let listing = Listing {
        columns: vec![w.login, w.role, w.status, w.added_at],
        rows: all.iter().map(row).collect(),
        empty: w.no_users,
        ..Listing::default()
    };
    let roles = [(Role::Member, w.role_member), (Role::Admin, w.role_admin)];
    let roles = roles.map(|(role, name)| (role.as_str().to_owned(), name.to_owned())).into();
    let form = FormView {
        title: w.add_user,
        action: "/settings/users/add".to_owned(),
        fields: vec![
            Field::text("login", w.login, "alice"),
            Field::text("role", w.role, "").of(Input::Choice(roles)),
            Field::text("password", w.new_password, "").of(Input::Secret),
        ],
        submit: w.add,
    };
    Ok(Parts { listings: vec![listing], forms: vec![form], next: None })
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    // A password is taken as it is, spaces and all.
    let password = Value::from(form.get("password"));
    let body = body_of([("login", form.value("login")), ("role", form.value("role")), ("password", password)])?;
    users::add(By(look.caller.clone(), body), look.server.clone()).await?;
    Ok(Done::plain(look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str), form: &Form) -> Result<Done, ApiError> {
    let change = match verb {
        "role" => ("role", form.value("role")),
        "active" => ("active", json!(form.get("active") == "true")),
        _ => return Err(no_such_action()),
    };
    let body = body_of([change])?;
    users::change(Path::from(id.to_owned()), By(look.caller.clone(), body), look.server.clone()).await?;
    Ok(Done::plain(look.words))
}
