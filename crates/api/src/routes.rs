//! The routes, in the three groups that a server can mount.

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, delete, get, patch, post, put, resource};
use actix_web::{HttpRequest, Scope, guard};
use patchwright_domain::PlatformId;

use crate::error::ApiError;
use crate::{
    Api, State, audit, auth, calls, channels, credentials, docs_pages, events, health, idempotency, issues, jira_links,
    jira_sites, jira_webhook, jobs, logs, node_protocol as protocol, nodes, oidc, openapi, repositories, response,
    settings, socket, stats, tasks, users, webhook,
};

/// Registers the management API under `/api/v1`, the health endpoints and the OpenAPI description.
pub fn routes(api: &Api) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = web::Data::from(api.0.clone());
    move |services| {
        services
            .app_data(state)
            .service(resource("/health").route(get().to(health::health)))
            .service(resource("/livez").route(get().to(health::live)))
            .service(resource("/readyz").route(get().to(health::ready)))
            .service(resource("/api/status").route(get().to(health::status)))
            .service(resource("/api/openapi.json").route(get().to(openapi::document)))
            .service(resource("/api/docs").route(get().to(docs_pages::redirect_to_index)))
            .service(resource("/api/docs/{part}").route(get().to(docs_pages::part)))
            .service(management())
            .default_service(web::to(response::not_found));
    }
}

/// Registers the webhook endpoints: one for each platform, `/api/webhook` for all, and those of Jira.
pub fn webhooks(api: &Api) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = api.0.clone();
    move |services| {
        let limit = state.options.max_body_bytes;
        let platforms: Vec<PlatformId> =
            state.management.platforms().iter().map(|platform| platform.id.clone()).collect();
        services.app_data(web::Data::from(state)).app_data(web::PayloadConfig::new(limit));
        for platform in platforms {
            let path = format!("/api/{platform}/webhook");
            let receive = move |request: HttpRequest, payload: web::Payload, state: web::Data<State>| {
                let platform = platform.clone();
                async move { webhook::receive(&request, payload, &state, platform).await }
            };
            services.service(resource(path).route(post().to(receive)));
        }
        services
            .service(resource("/api/webhook").route(post().to(webhook::receive_any)))
            .service(resource("/api/jira/webhook").route(post().to(jira_webhook::receive)))
            .service(resource("/api/v1/jira/events").route(post().to(jira_webhook::receive)));
    }
}

/// Registers the protocol of remote nodes (`docs/requirements.md#management-node`), which shares `/api/v1` with the
/// management API. Register it before [`routes`], whose scope answers every other path below that.
pub fn node_protocol(api: &Api) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = web::Data::from(api.0.clone());
    let at = |path: &str| resource(format!("/api/v1{path}"));
    move |services| {
        services
            .app_data(state)
            .service(at("/nodes/register").route(post().to(protocol::register)))
            .service(at("/nodes/{id}/heartbeat").route(post().to(protocol::heartbeat)))
            .service(at("/nodes/{id}/lease").route(post().to(protocol::lease)))
            .service(at("/issues/{id}/report-branch").route(post().to(protocol::report_branch)))
            .service(at("/tasks/{id}/begin").route(post().to(protocol::start)))
            .service(at("/tasks/{id}/progress").route(post().to(protocol::progress)))
            .service(at("/tasks/{id}/credential").route(post().to(protocol::credential)))
            .service(at("/tasks/{id}/reserve").route(post().to(protocol::reserve)))
            .service(at("/tasks/{id}/settle").route(post().to(protocol::settle)))
            .service(at("/tasks/{id}/calls").route(post().to(protocol::record_call)))
            .service(at("/tasks/{id}/conversation").route(post().to(protocol::save_conversation)))
            // People read the log at the same path.
            .service(at("/tasks/{id}/logs").guard(guard::Post()).route(post().to(protocol::append_log)));
    }
}

/// Everything under `/api/v1` but the node protocol. An invalid query or path is answered as every other error.
fn management() -> Scope<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<actix_web::body::BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let invalid = |code| move |error: String| -> actix_web::Error { ApiError::invalid(code, error).into() };
    let (query, path) = (invalid("bad_query"), invalid("bad_path"));
    web::scope("/api/v1")
        .app_data(web::QueryConfig::default().error_handler(move |error, _| query(error.to_string())))
        .app_data(web::PathConfig::default().error_handler(move |error, _| path(error.to_string())))
        .wrap(from_fn(idempotency::middleware))
        .configure(users_and_sessions)
        .configure(issues_and_jobs)
        .configure(live)
        .configure(administration)
        .configure(jira)
        .configure(nodes_and_tasks)
        .default_service(web::to(response::no_such_route))
}

fn users_and_sessions(services: &mut ServiceConfig) {
    services
        .service(resource("/auth/login").route(post().to(auth::login)))
        .service(resource("/auth/logout").route(post().to(auth::logout)))
        .service(resource("/auth/setup").route(post().to(auth::setup)))
        .service(resource("/auth/oidc/start").route(get().to(oidc::start)))
        .service(resource("/auth/oidc/callback").route(get().to(oidc::callback)))
        .service(resource("/me").route(get().to(auth::me)))
        .service(resource("/users").route(get().to(users::list)).route(post().to(users::create)))
        .service(
            resource("/users/{id}")
                .route(get().to(users::get))
                .route(patch().to(users::update))
                .route(delete().to(users::delete)),
        )
        .service(
            resource("/users/{id}/accounts")
                .route(get().to(users::forge_accounts))
                .route(put().to(users::set_forge_accounts)),
        )
        .service(resource("/tokens").route(get().to(users::list_tokens)).route(post().to(users::create_token)))
        .service(resource("/tokens/{id}").route(delete().to(users::revoke_token)))
        .service(resource("/audit").route(get().to(audit::list)))
        .service(resource("/settings").route(get().to(settings::list)).route(patch().to(settings::change)))
        .service(resource("/settings/{name}").route(put().to(settings::set)).route(delete().to(settings::unset)));
}

fn issues_and_jobs(services: &mut ServiceConfig) {
    services
        .service(resource("/repositories").route(get().to(repositories::list)).route(post().to(repositories::create)))
        .service(
            resource("/repositories/{id}").route(get().to(repositories::get)).route(delete().to(repositories::delete)),
        )
        .service(
            resource("/repositories/{id}/members")
                .route(get().to(repositories::members))
                .route(put().to(repositories::set_members)),
        )
        .service(resource("/repositories/{id}/settings").route(put().to(repositories::set_settings)))
        .service(resource("/repositories/{id}/sync").route(post().to(repositories::import_issues)))
        .service(resource("/issues").route(get().to(issues::list)).route(post().to(issues::open)))
        .service(resource("/issues/start-batch").route(post().to(issues::start_batch)))
        .service(resource("/issues/{id}").route(get().to(issues::get)).route(patch().to(issues::update)))
        .service(resource("/issues/{id}/start").route(post().to(issues::start)))
        .service(resource("/issues/{id}/cancel").route(post().to(issues::cancel)))
        .service(resource("/issues/{id}/ready").route(post().to(issues::mark_ready)))
        .service(resource("/issues/{id}/merge").route(post().to(issues::merge)))
        .service(resource("/jobs").route(get().to(jobs::list)))
        .service(resource("/jobs/{id}").route(get().to(jobs::get)))
        .service(resource("/jobs/{id}/retry").route(post().to(jobs::retry)))
        .service(resource("/jobs/{id}/calls").route(get().to(calls::list)))
        .service(resource("/jobs/{id}/plan").route(post().to(jobs::revise_plan)))
        .service(resource("/jobs/{id}/approve").route(post().to(jobs::approve)))
        .service(resource("/jobs/{id}/cancel").route(post().to(jobs::cancel)))
        .service(resource("/stats").route(get().to(stats::get)));
}

fn live(services: &mut ServiceConfig) {
    services
        .service(resource("/events").route(get().to(events::all)))
        .service(resource("/jobs/{id}/events").route(get().to(events::of_job)))
        .service(resource("/tasks/{id}/logs/stream").route(get().to(logs::stream)))
        .service(resource("/ws").route(get().to(socket::connect)));
}

fn administration(services: &mut ServiceConfig) {
    services
        .service(resource("/credentials").route(get().to(credentials::list)).route(post().to(credentials::create)))
        .service(
            resource("/credentials/{id}")
                .route(get().to(credentials::get))
                .route(patch().to(credentials::update))
                .route(delete().to(credentials::delete)),
        )
        .service(resource("/notifications").route(get().to(channels::list)).route(post().to(channels::create)))
        .service(resource("/notifications/failed").route(get().to(channels::failed)))
        .service(
            resource("/notifications/{id}")
                .route(get().to(channels::get))
                .route(patch().to(channels::update))
                .route(delete().to(channels::delete)),
        )
        .service(resource("/notifications/{id}/test").route(post().to(channels::send_test)));
}

fn jira(services: &mut ServiceConfig) {
    services
        .service(resource("/jira/status").route(get().to(jira_links::status)))
        .service(resource("/jira/link").route(get().to(jira_links::start)))
        .service(resource("/jira/callback").route(get().to(jira_links::callback)))
        .service(resource("/jira/links").route(get().to(jira_links::list)))
        .service(resource("/jira/links/{id}").route(delete().to(jira_links::unlink)))
        .service(resource("/jira/conversations").route(get().to(jira_sites::conversations)))
        .service(resource("/jira/failed").route(get().to(jira_sites::failed)))
        .service(resource("/jira/workspaces").route(get().to(jira_sites::list)).route(post().to(jira_sites::create)))
        .service(
            resource("/jira/workspaces/{id}").route(get().to(jira_sites::get)).route(patch().to(jira_sites::update)),
        )
        .service(resource("/jira/workspaces/{id}/validate").route(get().to(jira_sites::validate)))
        .service(resource("/jira/workspaces/{id}/projects").route(get().to(jira_sites::projects)))
        .service(
            resource("/jira/workspaces/{id}/projects/{key}")
                .route(post().to(jira_sites::map_project))
                .route(delete().to(jira_sites::unmap_project)),
        );
}

fn nodes_and_tasks(services: &mut ServiceConfig) {
    services
        .service(resource("/nodes").route(get().to(nodes::list)).route(post().to(nodes::create)))
        .service(
            resource("/nodes/{id}")
                .route(get().to(nodes::get))
                .route(patch().to(nodes::update))
                .route(delete().to(nodes::delete)),
        )
        .service(resource("/nodes/{id}/drain").route(post().to(nodes::drain)))
        .service(resource("/tasks").route(get().to(tasks::list)))
        .service(resource("/tasks/{id}").route(get().to(tasks::get)))
        .service(resource("/tasks/{id}/logs").route(get().to(logs::get)))
        .service(resource("/tasks/{id}/calls/{number}").route(get().to(calls::get)));
}
