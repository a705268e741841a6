//! The description of the API, made from the code.

use actix_web::HttpResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{auth, issues, repositories, tasks, users};

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchwright", description = "Turns issues into reviewed pull requests.", license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        auth::login, auth::logout, auth::me, auth::setup,
        users::list, users::add, users::change, users::tokens, users::add_token, users::end_token,
        repositories::list, repositories::add, repositories::show, repositories::remove, repositories::sync,
        issues::list, issues::open, issues::show, issues::change, issues::start, issues::start_batch, issues::cancel,
        issues::merge, tasks::list, tasks::show, tasks::audit,
    ),
    modifiers(&Security),
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

pub(crate) async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Description::openapi())
}
