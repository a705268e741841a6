//! The description of the API, made from the code.

use actix_web::HttpResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    audit, auth, calls, credentials, events, issues, jira, jobs, logs, node_protocol, nodes, notifications, oidc,
    repositories, socket, stats, tasks, users,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchwright", description = "Turns issues into reviewed pull requests.", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        auth::login, auth::logout, auth::me, auth::setup, oidc::start, oidc::callback,
        users::list, users::add, users::show, users::change, users::tokens, users::add_token, users::end_token,
        repositories::list, repositories::add, repositories::show, repositories::remove, repositories::sync,
        issues::list, issues::open, issues::show, issues::change, issues::start, issues::start_batch, issues::cancel,
        issues::merge, jobs::list, jobs::show, jobs::retry, jobs::approve, jobs::cancel, events::all, events::of_job, socket::connect, tasks::list, tasks::show,
        credentials::list, credentials::add, credentials::show, credentials::change, credentials::remove,
        notifications::list, notifications::add, notifications::show, notifications::change, notifications::remove, notifications::trial, notifications::failed,
        logs::show, logs::stream, nodes::list, nodes::add, nodes::show, nodes::change, nodes::drain, nodes::remove,
        node_protocol::register, node_protocol::heartbeat, node_protocol::lease, node_protocol::begin, node_protocol::progress,
        node_protocol::credential, node_protocol::reserve, node_protocol::settle, node_protocol::add_log, node_protocol::record_call, calls::list, calls::show, node_protocol::report_branch,
        jira::links::status, jira::links::start, jira::links::callback, jira::links::list, jira::links::unlink,
        jira::workspaces::list, jira::workspaces::add, jira::workspaces::show, jira::workspaces::change,
        jira::workspaces::validate, jira::workspaces::projects, jira::workspaces::set_project,
        jira::workspaces::remove_project, jira::workspaces::conversations, jira::workspaces::failed,
        audit::list, stats::show,
    ),
    modifiers(&Security, &Common),
    security(("token" = []), ("session" = []))
)]
pub(crate) struct Description;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::auth::COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// What every operation may answer, or every one with a body.
struct Common;

impl utoipa::Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let mut answer = |status: &str, description: &str| {
                    let response = ResponseBuilder::new().description(description).build();
                    operation.responses.responses.entry(status.to_owned()).or_insert(response.into());
                };
                answer("503", "The database or a forge cannot be used now; wait as `Retry-After` says");
                if let Some(body) = &mut operation.request_body {
                    answer("413", "The body is too large");
                    answer("415", "The body is not JSON");
                    // The Start button sends none.
                    if let RefOr::T(body) = body
                        && (path.ends_with("/start") || path.ends_with("/merge"))
                    {
                        body.required = Some(Required::False);
                    }
                }
            }
        }
    }
}

/// The pages that show it, with nothing from elsewhere.
pub(crate) fn pages() -> SwaggerUi {
    SwaggerUi::new("/api/docs/{tail:.*}").config(Config::from("/api/openapi.json"))
}

pub(crate) async fn to_pages() -> HttpResponse {
    HttpResponse::Found().insert_header(("location", "/api/docs/index.html")).finish()
}

pub(crate) async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Description::openapi())
}
