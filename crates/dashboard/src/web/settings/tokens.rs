//! The viewer's own API tokens.

use patchwright_core::accounts::{ApiToken, Session};
use patchwright_domain::user::Scope;
use patchwright_management::{ManagementError, NewToken};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, no_such_action, parse_id};
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let w = context.translations;
    // The operator of this machine has no tokens and needs none.
    let all = match context.principal.id() {
        Some(_) => context.management.tokens().list(context.principal).await?,
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
        title: w.tokens_of_api,
        columns: vec![w.name, w.may, w.ends, w.last_used],
        rows: all.iter().map(row).collect(),
        empty: w.no_tokens,
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
        problem: None,
    };
    let password = FormView {
        title: w.change_password,
        action: "/account/password".to_owned(),
        fields: vec![
            Field::text("current", w.current_password, "").of(Input::Secret),
            Field::text("new", w.new_password, "").of(Input::Secret),
        ],
        submit: w.save,
        problem: None,
    };
    // Only a session can change the password of its user.
    let password = context.principal.csrf().map(|_| password);
    let form = context.principal.id().map(|_| form);
    let forms = form.into_iter().chain(password).collect();
    Ok(SettingsView { listings: vec![listing, sessions(context).await?], forms, next: None })
}

/// The browsers in which the viewer is logged in.
async fn sessions(context: &SettingsContext<'_>) -> Result<Listing, ManagementError> {
    let w = context.translations;
    let all = match context.principal.id() {
        Some(_) => context.management.sessions().list(context.principal).await?,
        None => Vec::new(),
    };
    let is_own = |session: &Session| context.principal.csrf() == Some(session.csrf.as_str());
    let has_others = all.iter().any(|session| !is_own(session));
    let row = |session: &Session| Row {
        cells: vec![
            Cell::Name(session.client.clone(), if is_own(session) { w.this_browser.to_owned() } else { String::new() }),
            Cell::Time(Some(session.created_at)),
            Cell::Text(session.expires_at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ],
        // One button for all others: they are not told apart by anything that is no secret.
        buttons: (is_own(session) && has_others)
            .then(|| Button::new(w.end_other_sessions, "/account/sessions/end-others".to_owned()).removing())
            .into_iter()
            .collect(),
        links: vec![],
    };
    Ok(Listing {
        title: w.sessions,
        columns: vec![w.browser, w.logged_in, w.ends],
        rows: all.iter().map(row).collect(),
        empty: w.no_sessions,
    })
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let scope = Scope::parse(form.get("scope"));
    let new = NewToken {
        name: form.text("name").unwrap_or_default(),
        scope: scope.ok_or_else(|| ManagementError::invalid("bad_scope", "a scope is `read`, `write` or `admin`"))?,
        expires_in_days: form.get("expires_in_days").parse().ok(),
    };
    let created = context.management.tokens().create(context.principal, new).await?;
    Ok(FormOutcome::revealed(Some(created.secret), context.translations.api_token.to_owned(), context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
) -> Result<FormOutcome, ManagementError> {
    match action {
        "end" => {
            context.management.tokens().revoke(context.principal, parse_id(id, "token")?).await?;
            Ok(FormOutcome::done(context))
        }
        _ => Err(no_such_action()),
    }
}
