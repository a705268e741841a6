//! The audit log.

use actix_web::{HttpResponse, web};
use patchwright_core::audit::AuditEntry;
use patchwright_protocol::Page;
use patchwright_protocol::audit::{AuditQuery, AuditView};

use crate::State;
use crate::error::ApiError;
use crate::extract::Caller;
use crate::page::{self, limit};

fn view(entry: &AuditEntry) -> AuditView {
    AuditView {
        id: entry.id.to_string(),
        at: entry.at.to_string(),
        actor: entry.actor.clone(),
        action: entry.action.clone(),
        subject: entry.subject.clone(),
        detail: entry.detail.clone(),
    }
}

#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditView>), (status = 400, description = "Invalid filter"),
        (status = 403, description = "Administrator role required")))]
pub(crate) async fn list(
    Caller(principal): Caller,
    query: web::Query<AuditQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let limit = limit(query.limit)?;
    let before = page::parse(query.cursor.as_ref(), "bad_cursor")?;
    let entries = state.management.audit().list(&principal, before, limit).await?;
    Ok(HttpResponse::Ok().json(Page::new(limit, &entries, |entry| entry.id, view)))
}
