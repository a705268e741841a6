//! The OpenAPI description, generated from the code.

use actix_web::HttpResponse;
use patchwright_management::Platform;
use patchwright_protocol::schemas::{CREDENTIAL_PLATFORM_FORMAT, PLATFORM_FORMAT};
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required, ResponseBuilder};

use crate::{
    audit, auth, calls, channels, credentials, events, issues, jira_links, jira_sites, jobs, logs, node_protocol,
    nodes, oidc, repositories, settings, socket, stats, tasks, users,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchwright", description = "Turns issues into reviewed pull requests.", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        auth::login, auth::logout, auth::me, auth::setup, oidc::start, oidc::callback,
        users::list, users::create, users::get, users::update, users::delete, users::forge_accounts, users::set_forge_accounts, users::list_tokens, users::create_token, users::revoke_token,
        repositories::list, repositories::create, repositories::get, repositories::delete, repositories::members, repositories::set_members, repositories::set_settings, repositories::import_issues,
        issues::list, issues::open, issues::get, issues::update, issues::start, issues::start_batch, issues::cancel,
        issues::mark_ready, issues::merge, jobs::list, jobs::get, jobs::retry, jobs::approve, jobs::revise_plan, jobs::cancel, events::all, events::of_job, socket::connect, tasks::list, tasks::get,
        credentials::list, credentials::create, credentials::get, credentials::update, credentials::delete,
        channels::list, channels::create, channels::get, channels::update, channels::delete, channels::send_test, channels::failed,
        logs::get, logs::stream, nodes::list, nodes::create, nodes::get, nodes::update, nodes::drain, nodes::delete,
        node_protocol::register, node_protocol::heartbeat, node_protocol::lease, node_protocol::start, node_protocol::progress,
        node_protocol::credential, node_protocol::reserve, node_protocol::settle, node_protocol::append_log, node_protocol::record_call, node_protocol::save_conversation, calls::list, calls::get, node_protocol::report_branch,
        jira_links::status, jira_links::start, jira_links::callback, jira_links::list, jira_links::unlink,
        jira_sites::list, jira_sites::create, jira_sites::get, jira_sites::update,
        jira_sites::validate, jira_sites::projects, jira_sites::map_project,
        jira_sites::unmap_project, jira_sites::conversations, jira_sites::failed,
        audit::list, settings::list, settings::change, settings::set, settings::unset, stats::get,
    ),
    modifiers(&SecuritySchemes, &CommonResponses),
    security(("token" = []), ("session" = []))
)]
struct Description;

struct SecuritySchemes;

impl utoipa::Modify for SecuritySchemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(patchwright_management::SESSION_COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The responses that every operation can give, every secured one, or every one with a body.
struct CommonResponses;

impl utoipa::Modify for CommonResponses {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                add_common_responses(path, operation);
            }
        }
    }
}

fn add_common_responses(path: &str, operation: &mut Operation) {
    let is_secured = operation.security.is_none();
    let mut add = |status: &str, description: &str| {
        let response = ResponseBuilder::new().description(description).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(response.into());
    };
    add("503", "The database or a forge cannot be used now; wait as `Retry-After` says");
    if is_secured {
        add("401", "Not authenticated");
    }
    if let Some(body) = &mut operation.request_body {
        add("413", "The body is too large");
        add("415", "The body is not JSON");
        // The request of a button has no body.
        if let RefOr::T(body) = body
            && (path.ends_with("/start") || path.ends_with("/merge"))
        {
            body.required = Some(Required::False);
        }
    }
}

/// Returns the OpenAPI description as JSON, with the ids of these platforms.
pub fn openapi(platforms: &[Platform]) -> Value {
    let mut description = serde_json::to_value(Description::openapi()).expect("a description is JSON");
    name_platforms(&mut description, platforms);
    description
}

/// Replaces the fields that are marked as the id of a platform by the ids that this server knows.
fn name_platforms(value: &mut Value, platforms: &[Platform]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| name_platforms(item, platforms)),
        Value::Object(fields) => {
            let needs_credentials = match fields.get("format").and_then(Value::as_str) {
                Some(PLATFORM_FORMAT) => Some(false),
                Some(CREDENTIAL_PLATFORM_FORMAT) => Some(true),
                _ => None,
            };
            if let Some(needs_credentials) = needs_credentials {
                let known = platforms.iter().filter(|platform| !needs_credentials || platform.credentials.is_some());
                let ids = known.map(|platform| Value::from(platform.id.as_str())).collect();
                fields.remove("format");
                fields.insert("enum".to_owned(), Value::Array(ids));
            }
            fields.values_mut().for_each(|field| name_platforms(field, platforms));
        }
        _ => {}
    }
}

pub(crate) async fn document(state: actix_web::web::Data<crate::State>) -> HttpResponse {
    HttpResponse::Ok().json(openapi(state.management.platforms()))
}
