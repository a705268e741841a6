//! Users.

use std::collections::HashMap;

use patchwright_core::Secret;
use patchwright_core::access::ForgeAccount;
use patchwright_domain::user::User;
use patchwright_domain::{PlatformId, Role};
use patchwright_management::{ManagementError, NewUser, UserUpdate};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, no_such_action, parse_id};
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let (w, all) = (context.translations, context.management.users().list(context.principal).await?);
    let mut accounts = HashMap::new();
    for user in &all {
        let grants = context.management.users().grants(context.principal, user.id).await?;
        accounts.insert(user.id, account_names(&grants.accounts));
    }
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
                Cell::Text(accounts.get(&user.id).cloned().unwrap_or_default()),
                Cell::Time(Some(user.created_at)),
            ],
            buttons: vec![
                Button::new(other_name, at("role")).with("role", other.as_str()),
                Button::new(active_name, at("active")).with("active", active),
                Button::new(w.delete_user, at("delete")).removing(),
            ],
            links: vec![],
        }
    };
    let listing = Listing {
        columns: vec![w.login, w.role, w.status, w.forge_accounts, w.added_at],
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
        problem: None,
    };
    let users = all.iter().map(|user| (user.id.to_string(), user.login.to_string())).collect();
    let link = FormView {
        title: w.link_accounts,
        action: "/settings/users/-/accounts".to_owned(),
        fields: vec![
            Field::text("user", w.user, "").of(Input::Choice(users)),
            Field::text("accounts", w.forge_accounts, "github:alice gitcode:alice").optional(),
        ],
        submit: w.save,
        problem: None,
    };
    Ok(SettingsView { listings: vec![listing], forms: vec![form, link], next: None })
}

fn account_names(accounts: &[ForgeAccount]) -> String {
    let names: Vec<String> = accounts.iter().map(|known| format!("{}:{}", known.platform, known.login)).collect();
    names.join(" ")
}

/// Sets the accounts of a user, which are words such as `github:alice`.
async fn set_accounts(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let account = |word: &str| {
        let (platform, login) = word.split_once(':').ok_or_else(|| {
            ManagementError::invalid("bad_account", format!("`{word}` is no account: write `github:alice`"))
        })?;
        Ok(ForgeAccount { platform: PlatformId::new(platform.to_owned()), login: login.to_lowercase() })
    };
    let words = form.get("accounts").split_whitespace().map(account);
    let accounts = words.collect::<Result<Vec<_>, ManagementError>>()?;
    let user = parse_id(form.get("user"), "user")?;
    context.management.users().set_forge_accounts(context.principal, user, accounts).await?;
    Ok(FormOutcome::done(context))
}

fn role(form: &Form) -> Result<Role, ManagementError> {
    let role = Role::parse(form.get("role"));
    role.ok_or_else(|| ManagementError::invalid("bad_role", "a role is `member` or `admin`"))
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    // A password is used unchanged, including whitespace.
    let password = Some(form.get("password")).filter(|password| !password.is_empty());
    let new = NewUser {
        login: form.text("login").unwrap_or_default(),
        role: role(form)?,
        password: password.map(Secret::new),
    };
    context.management.users().create(context.principal, new).await?;
    Ok(FormOutcome::done(context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
    form: &Form,
) -> Result<FormOutcome, ManagementError> {
    if action == "accounts" {
        return set_accounts(context, form).await;
    }
    if action == "delete" {
        context.management.users().delete(context.principal, parse_id(id, "user")?).await?;
        return Ok(FormOutcome::done(context));
    }
    let update = match action {
        "role" => UserUpdate { role: Some(role(form)?), ..UserUpdate::default() },
        "active" => UserUpdate { active: Some(form.get("active") == "true"), ..UserUpdate::default() },
        _ => return Err(no_such_action()),
    };
    context.management.users().update(context.principal, parse_id(id, "user")?, update).await?;
    Ok(FormOutcome::done(context))
}
