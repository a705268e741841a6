//! Sites of Jira, the repositories of their projects, and one's own accounts there.

use actix_web::web::Path;
use patchwright_core::jira::{JiraUsers as _, Workspaces as _};
use patchwright_core::repositories::Repositories as _;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};
use patchwright_domain::jira::{JiraUser, LinkStatus, Workspace};

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, no_such_action, read};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::jira::{links, workspaces};

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let vault = &look.server.app.vault;
    let sites = vault.workspaces().await?;
    let own = match look.caller.id {
        Some(id) => vault.links(Some(id)).await?,
        None => Vec::new(),
    };
    let mut listings = vec![sites_listing(look, &sites), accounts_listing(look, &sites, &own)];
    let mut forms = Vec::new();
    if look.caller.is_admin() {
        listings.push(projects_listing(look, &sites).await?);
        forms.push(site_form(look));
        if !sites.is_empty() {
            forms.push(project_form(look, &sites).await?);
        }
    }
    Ok(Parts { listings, forms, next: None })
}

fn sites_listing(look: &Look<'_>, sites: &[Workspace]) -> Listing {
    let w = look.words;
    let row = |site: &Workspace| {
        let at = |verb| format!("/settings/jira/{}/{verb}", site.id);
        let active = site.status == LinkStatus::Active;
        let (class, state) = if active { ("succeeded", w.active) } else { ("failed", w.inactive) };
        let (verb, other) = if active { (w.switch_off, "inactive") } else { (w.switch_on, "active") };
        let own = look.caller.is_admin() && look.caller.id.is_none_or(|id| id == site.admin);
        Row {
            cells: vec![
                Cell::Name(site.name.clone(), site.cloud_id.clone().unwrap_or_default()),
                Cell::Chip(class, state.to_owned()),
                Cell::Time(Some(site.created_at)),
            ],
            buttons: if own {
                vec![Button::new(w.validate, at("validate")), Button::new(verb, at("status")).with("status", other)]
            } else {
                vec![]
            },
            links: vec![(
                w.link_account,
                format!("/api/v1/jira/link?workspace={}&return_to=/settings/jira", site.name),
            )],
        }
    };
    Listing {
        title: w.sites,
        columns: vec![w.site, w.status, w.added_at],
        rows: sites.iter().map(row).collect(),
        empty: w.no_sites,
    }
}

fn accounts_listing(look: &Look<'_>, sites: &[Workspace], own: &[JiraUser]) -> Listing {
    let w = look.words;
    let row = |link: &JiraUser| {
        let site = sites.iter().find(|site| site.id == link.workspace_id).map_or("", |site| site.name.as_str());
        let active = link.status == LinkStatus::Active;
        Row {
            cells: vec![
                Cell::Name(link.display_name.clone(), site.to_owned()),
                if active { Cell::Chip("succeeded", w.linked.to_owned()) } else { Cell::Text(w.inactive.to_owned()) },
                Cell::Time(Some(link.updated_at)),
            ],
            buttons: if active {
                vec![Button::new(w.unlink, format!("/settings/jira/{}/unlink", link.id)).removing()]
            } else {
                vec![]
            },
            links: vec![],
        }
    };
    Listing {
        title: w.your_accounts,
        columns: vec![w.account, w.status, w.when],
        rows: own.iter().map(row).collect(),
        empty: w.no_links,
    }
}

async fn projects_listing(look: &Look<'_>, sites: &[Workspace]) -> Result<Listing, ApiError> {
    let w = look.words;
    let mut rows = Vec::new();
    for site in sites {
        for project in look.server.app.vault.projects(site.id).await? {
            let action = format!("/settings/jira/{}/remove-project", site.id);
            rows.push(Row {
                cells: vec![
                    Cell::Name(project.project.clone(), site.name.clone()),
                    Cell::Text(format!("{} · {}", project.platform, project.repo)),
                ],
                buttons: vec![Button::new(w.remove, action).with("project", project.project).removing()],
                links: vec![],
            });
        }
    }
    Ok(Listing { title: w.projects, columns: vec![w.project, w.repository], rows, empty: w.no_projects })
}

fn site_form(look: &Look<'_>) -> FormView {
    let w = look.words;
    FormView {
        title: w.add_site,
        action: "/settings/jira/add".to_owned(),
        fields: vec![
            Field::text("name", w.site, "acme.atlassian.net"),
            Field::text("svc_acc_email", w.service_account, "bot@acme.example").optional(),
            Field::text("svc_acc_api_key", w.api_key, "").of(Input::Secret).optional(),
            Field::text("webhook_secret", w.webhook_secret, "").of(Input::Secret).optional(),
        ],
        submit: w.add,
    }
}

async fn project_form(look: &Look<'_>, sites: &[Workspace]) -> Result<FormView, ApiError> {
    let w = look.words;
    let repositories = look.server.app.store.repositories().await?;
    let repositories = repositories.iter().map(|one| {
        let value = format!("{} {}", one.platform, one.name);
        (value.clone(), value)
    });
    Ok(FormView {
        title: w.map_project,
        action: "/settings/jira/project/map".to_owned(),
        fields: vec![
            Field::text("site", w.site, "")
                .of(Input::Choice(sites.iter().map(|site| (site.id.to_string(), site.name.clone())).collect())),
            Field::text("project", w.project, "PROJ"),
            Field::text("repository", w.repository, "").of(Input::Choice(repositories.collect())),
        ],
        submit: w.add,
    })
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let fields = ["name", "svc_acc_email", "svc_acc_api_key", "webhook_secret"];
    let body = body_of(fields.map(|name| (name, form.value(name))))?;
    let made = read(workspaces::add(By(look.caller.clone(), body), look.server.clone()).await?).await?;
    let url = made["webhook_url"].as_str().unwrap_or("/api/jira/webhook");
    let label = format!("{} ({url})", look.words.webhook_secret_made);
    Ok(Done::secret(&made, "webhook_secret", label, look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str), form: &Form) -> Result<Done, ApiError> {
    let (caller, server) = (look.caller.clone(), look.server.clone());
    let own = Path::from(id.to_owned());
    match verb {
        "validate" => {
            let found = read(workspaces::validate(caller, own, server).await?).await?;
            if found["valid"] != true {
                return Err(ApiError::conflict("not_valid", found["message"].as_str().unwrap_or_default()));
            }
        }
        "status" => {
            let body = body_of([("status", form.value("status"))])?;
            workspaces::change(own, By(caller, body), server).await?;
        }
        "unlink" => drop(links::unlink(caller, own, server).await?),
        "remove-project" => {
            let path = Path::from((id.to_owned(), form.get("project").to_owned()));
            workspaces::remove_project(caller, path, server).await?;
        }
        "map" => {
            let (platform, repository) = form.get("repository").split_once(' ').unwrap_or_default();
            let body = body_of([("platform", platform.into()), ("repository", repository.into())])?;
            let path = Path::from((form.get("site").to_owned(), form.get("project").trim().to_owned()));
            workspaces::set_project(path, By(caller, body), server).await?;
        }
        _ => return Err(no_such_action()),
    }
    Ok(Done::plain(look.words))
}
