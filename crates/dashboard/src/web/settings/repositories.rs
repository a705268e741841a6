//! Repositories.

use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::repository_settings::MAX_CI_ROUNDS;
use patchwright_domain::{PlatformId, RepositorySettings, SandboxGrants};
use patchwright_management::{Management, ManagementError};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, no_such_action, parse_id};
use crate::Translations;
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let (w, all) = (context.translations, context.management.repositories().list(context.principal).await?);
    let admin = context.principal.is_admin();
    let row = |repository: &RegisteredRepository| {
        let at = |verb| format!("/settings/repositories/{}/{verb}", repository.id);
        let buttons = if admin {
            vec![
                Button::new(w.sync, at("sync")),
                Button::new(w.remove, at("remove")).removing(),
                Button::new(w.delete_data, at("delete")).removing(),
            ]
        } else {
            vec![]
        };
        Row {
            cells: vec![
                Cell::Name(repository.name.to_string(), String::new()),
                Cell::Text(repository.platform.as_str().to_owned()),
                Cell::Text(repository.settings.test_command.clone().unwrap_or_else(|| w.tests_found.to_owned())),
                Cell::Text(repository.settings.ci_rounds.to_string()),
                Cell::Text(grants_text(w, &repository.settings.sandbox)),
                Cell::Time(repository.synced_at),
                Cell::Time(Some(repository.created_at)),
            ],
            buttons,
            links: vec![(w.issues, format!("/issues?repository={}", repository.name))],
        }
    };
    let listing = Listing {
        columns: vec![w.repository, w.platform, w.test_command, w.ci_rounds, w.grants, w.synced, w.added_at],
        rows: all.iter().map(row).collect(),
        empty: w.no_repositories,
        ..Listing::default()
    };
    Ok(SettingsView {
        listings: vec![listing],
        forms: if admin {
            vec![form(w, context.management), members_form(w, &all), test_form(w, &all), grants_form(w, &all)]
        } else {
            vec![]
        },
        next: None,
    })
}

/// The form that adds a repository.
pub(in crate::web) fn form(w: &'static Translations, management: &Management) -> FormView {
    FormView {
        title: w.add_repository,
        action: "/settings/repositories/add".to_owned(),
        fields: vec![
            Field::text("platform", w.platform, "").of(Input::Choice(platforms(management))),
            Field::text("name", w.name, "owner/name"),
        ],
        submit: w.add,
        problem: None,
    }
}

/// The form that says who sees a repository.
fn members_form(w: &'static Translations, all: &[RegisteredRepository]) -> FormView {
    FormView {
        title: w.assign_members,
        action: "/settings/repositories/-/members".to_owned(),
        fields: vec![
            Field::text("repository", w.repository, "").of(Input::Choice(choices(all))),
            Field::text("users", w.members_hint, "alice bob").optional(),
        ],
        submit: w.save,
        problem: None,
    }
}

/// What removes the test command.
const NO_COMMAND: &str = "-";

/// The form that says how a repository is tested.
fn test_form(w: &'static Translations, all: &[RegisteredRepository]) -> FormView {
    let rounds = (0..=MAX_CI_ROUNDS).map(|rounds| (rounds.to_string(), rounds.to_string()));
    let rounds = std::iter::once((String::new(), w.unchanged.to_owned())).chain(rounds).collect();
    FormView {
        title: w.how_it_is_tested,
        action: "/settings/repositories/-/settings".to_owned(),
        fields: vec![
            Field::text("repository", w.repository, "").of(Input::Choice(choices(all))),
            Field::text("test_command", w.test_command_hint, "make check").optional(),
            Field::text("ci_rounds", w.ci_rounds_hint, "").of(Input::Choice(rounds)).optional(),
        ],
        submit: w.save,
        problem: None,
    }
}

async fn set_settings(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let id = parse_id(form.get("repository"), "repository")?;
    let invalid = |_| ManagementError::invalid("bad_settings", "the number of CI rounds is not a number".to_owned());
    let repositories = context.management.repositories();
    // The form shows all repositories, and so no values: what is left empty stays as it is.
    let known = repositories.get(context.principal, id).await?.settings;
    let settings = RepositorySettings {
        test_command: match form.get("test_command").trim() {
            "" => known.test_command.clone(),
            NO_COMMAND => None,
            command => Some(command.to_owned()),
        },
        ci_rounds: match form.get("ci_rounds") {
            "" => known.ci_rounds,
            rounds => rounds.parse().map_err(invalid)?,
        },
        ..known
    };
    repositories.set_settings(context.principal, id, settings).await?;
    Ok(FormOutcome::done(context))
}

/// Names what is granted to a repository.
fn grants_text(w: &'static Translations, grants: &SandboxGrants) -> String {
    let lists = [&grants.network, &grants.images, &grants.env];
    let mut granted: Vec<&str> = lists.into_iter().flatten().map(String::as_str).collect();
    if grants.packages_with_code {
        granted.push(w.fetched_for_base);
    }
    if granted.is_empty() { w.no_grants.to_owned() } else { granted.join(", ") }
}

/// The form that says what a repository's code may do in the sandbox.
fn grants_form(w: &'static Translations, all: &[RegisteredRepository]) -> FormView {
    let fetching = vec![("no".to_owned(), w.not_fetched.to_owned()), ("yes".to_owned(), w.fetched_for_base.to_owned())];
    FormView {
        title: w.grant_to,
        action: "/settings/repositories/-/grants".to_owned(),
        fields: vec![
            Field::text("repository", w.repository, "").of(Input::Choice(choices(all))),
            Field::text("network", w.granted_hosts, "api.example.com").optional(),
            Field::text("images", w.granted_images, "python:3.12").optional(),
            Field::text("env", w.granted_variables, "TEST_REGION").optional(),
            Field::text("packages_with_code", w.packages_with_code, "").of(Input::Choice(fetching)),
        ],
        submit: w.save,
        problem: None,
    }
}

async fn set_grants(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let id = parse_id(form.get("repository"), "repository")?;
    let list = |name: &str| {
        form.get(name).split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let network: Vec<String> = list("network");
    let sandbox = SandboxGrants {
        network: network.iter().map(|host| host.to_lowercase()).collect(),
        images: list("images"),
        env: list("env"),
        packages_with_code: form.get("packages_with_code") == "yes",
    };
    let repositories = context.management.repositories();
    let known = repositories.get(context.principal, id).await?.settings;
    repositories.set_settings(context.principal, id, RepositorySettings { sandbox, ..known }).await?;
    Ok(FormOutcome::done(context))
}

fn choices(all: &[RegisteredRepository]) -> Vec<(String, String)> {
    all.iter().map(|repository| (repository.id.to_string(), repository.name.to_string())).collect()
}

/// Sets the users who are assigned to a repository, by their logins.
async fn set_members(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let users = context.management.users().list(context.principal).await?;
    let find = |word: &str| {
        let found = users.iter().find(|user| user.login.as_str().eq_ignore_ascii_case(word));
        let missing = || ManagementError::invalid("bad_user", format!("there is no user `{word}`"));
        found.map(|user| user.id).ok_or_else(missing)
    };
    let members = form.get("users").split_whitespace().map(find).collect::<Result<Vec<_>, _>>()?;
    let id = parse_id(form.get("repository"), "repository")?;
    context.management.repositories().set_members(context.principal, id, &members).await?;
    Ok(FormOutcome::done(context))
}

fn platforms(management: &Management) -> Vec<(String, String)> {
    management.platforms().iter().map(|platform| (platform.id.to_string(), platform.name.to_owned())).collect()
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let platform = PlatformId::new(form.get("platform"));
    context.management.repositories().create(context.principal, platform, form.get("name").trim()).await?;
    Ok(FormOutcome::done(context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
    form: &Form,
) -> Result<FormOutcome, ManagementError> {
    match action {
        "members" => return set_members(context, form).await,
        "settings" => return set_settings(context, form).await,
        "grants" => return set_grants(context, form).await,
        _ => {}
    }
    let (repositories, id) = (context.management.repositories(), parse_id(id, "repository")?);
    match action {
        "sync" => drop(repositories.import_issues(context.principal, id).await?),
        "remove" => repositories.delete(context.principal, id).await?,
        "delete" => repositories.delete_with_data(context.principal, id).await?,
        _ => return Err(no_such_action()),
    }
    Ok(FormOutcome::done(context))
}
