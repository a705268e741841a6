//! The record of who did what.

use actix_web::{HttpResponse, web};
use patchwright_core::audit::{Audit as _, AuditEntry};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::State;
use super::error::ApiError;
use super::page::{Page, limit, parsed};
use crate::auth::Caller;

/// Who did what.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditView {
    id: String,
    at: String,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

impl From<&AuditEntry> for AuditView {
    fn from(entry: &AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: entry.at.to_string(),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            detail: entry.detail.clone(),
        }
    }
}

/// Which part of the record.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// As the page before said.
    #[param(value_type = Option<uuid::Uuid>)]
    cursor: Option<String>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Query),
    responses((status = 200, body = Page<AuditView>), (status = 400, description = "A filter makes no sense"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks")))]
pub(crate) async fn list(
    caller: Caller,
    query: web::Query<Query>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let limit = limit(query.limit)?;
    let entries = state.app.store.entries(parsed(query.cursor.as_ref(), "bad_cursor")?, limit).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &entries, |entry| entry.id, |entry| AuditView::from(entry))))
}
