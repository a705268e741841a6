//! Jira sites, the repositories of their projects, and the viewer's linked accounts.

use patchwright_core::Secret;
use patchwright_domain::PlatformId;
use patchwright_domain::jira::{JiraUser, LinkStatus, Workspace};
use patchwright_management::{Jira, ManagementError, NewWorkspace, WorkspaceUpdate};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, no_such_action, parse_id};
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let jira = context.management.jira()?;
    let sites = jira.sites().await?;
    let own = match context.principal.id() {
        Some(id) => jira.links_of(id).await?,
        None => Vec::new(),
    };
    let mut listings = vec![sites_listing(context, &jira, &sites), accounts_listing(context, &sites, &own)];
    let mut forms = Vec::new();
    if context.principal.is_admin() {
        listings.push(projects_listing(context, &sites).await?);
        forms.push(site_form(context));
        if !sites.is_empty() {
            forms.push(project_form(context, &sites).await?);
        }
    }
    Ok(SettingsView { listings, forms, next: None })
}

fn sites_listing(context: &SettingsContext<'_>, jira: &Jira<'_>, sites: &[Workspace]) -> Listing {
    let w = context.translations;
    let row = |site: &Workspace| {
        let at = |verb| format!("/settings/jira/{}/{verb}", site.id);
        let active = site.status == LinkStatus::Active;
        let (class, state) = if active { ("succeeded", w.active) } else { ("failed", w.inactive) };
        let (verb, other) = if active { (w.switch_off, "inactive") } else { (w.switch_on, "active") };
        let may_change = jira.may_change_site(context.principal, site);
        Row {
            cells: vec![
                Cell::Name(site.name.clone(), site.cloud_id.clone().unwrap_or_default()),
                Cell::Chip(class, state.to_owned()),
                Cell::Time(Some(site.created_at)),
            ],
            buttons: if may_change {
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

fn accounts_listing(context: &SettingsContext<'_>, sites: &[Workspace], own: &[JiraUser]) -> Listing {
    let w = context.translations;
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

async fn projects_listing(context: &SettingsContext<'_>, sites: &[Workspace]) -> Result<Listing, ManagementError> {
    let w = context.translations;
    let mut rows = Vec::new();
    for site in sites {
        for project in context.management.jira()?.projects(context.principal, site.id).await? {
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

fn site_form(context: &SettingsContext<'_>) -> FormView {
    let w = context.translations;
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
        problem: None,
    }
}

async fn project_form(context: &SettingsContext<'_>, sites: &[Workspace]) -> Result<FormView, ManagementError> {
    let w = context.translations;
    let repositories = context.management.repositories().list(context.principal).await?;
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
        problem: None,
    })
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let new = NewWorkspace {
        name: form.text("name").unwrap_or_default(),
        webhook_secret: form.text("webhook_secret").map(Secret::new),
        account_email: form.text("svc_acc_email"),
        account_key: form.text("svc_acc_api_key").map(Secret::new),
        cloud_id: None,
        status: None,
    };
    let created = context.management.jira()?.add_site(context.principal, new).await?;
    let url = created.webhook_url.as_deref().unwrap_or("/api/jira/webhook");
    let label = format!("{} ({url})", context.translations.webhook_secret_made);
    Ok(FormOutcome::revealed(created.webhook_secret, label, context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
    form: &Form,
) -> Result<FormOutcome, ManagementError> {
    let (jira, principal) = (context.management.jira()?, context.principal);
    match action {
        "validate" => {
            let check = jira.check_site(principal, parse_id(id, "workspace")?).await?;
            if let Some(problem) = check.problem {
                return Err(ManagementError::conflict("not_valid", problem));
            }
        }
        "status" => {
            let status = LinkStatus::parse(form.get("status"));
            let status = status.ok_or_else(|| ManagementError::invalid("bad_word", "there is no such status"))?;
            let update = WorkspaceUpdate { status: Some(status), ..WorkspaceUpdate::default() };
            jira.update_site(principal, parse_id(id, "workspace")?, update).await?;
        }
        "unlink" => jira.unlink(principal, parse_id(id, "link")?).await?,
        "remove-project" => {
            jira.unmap_project(principal, parse_id(id, "workspace")?, form.get("project")).await?;
        }
        "map" => {
            let (platform, repository) = form.get("repository").split_once(' ').unwrap_or_default();
            let (site, platform) = (parse_id(form.get("site"), "workspace")?, PlatformId::new(platform));
            jira.map_project(principal, site, form.get("project").trim(), platform, repository).await?;
        }
        _ => return Err(no_such_action()),
    }
    Ok(FormOutcome::done(context))
}
