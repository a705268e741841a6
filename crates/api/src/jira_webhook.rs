//! The webhook endpoint of Jira.

use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_domain::PlatformId;
use patchwright_engine::jira::JiraIntakeOutcome;
use serde::Serialize;

use crate::State;
use crate::webhook::{RequestHeaders, admit, check_media_type, refusal};

#[derive(Serialize)]
struct JiraWebhookResponse<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Receives a delivery of Jira, and reports one that is refused.
pub(crate) async fn receive(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let response = receive_unreported(&request, payload, &state).await;
    state.report_refusal(&PlatformId::from_static("jira"), &response, &request);
    response
}

async fn receive_unreported(request: &HttpRequest, payload: web::Payload, state: &State) -> HttpResponse {
    let (body, _permit) = match admit(request, payload, state).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = check_media_type(request.headers(), &body) {
        return refusal;
    }
    let plain = JiraWebhookResponse { status: "accepted", event_id: None, reason: None };
    match state.management.engine().receive_jira(&RequestHeaders(request.headers()), &body).await {
        Ok(JiraIntakeOutcome::Accepted { event_id }) => {
            HttpResponse::Accepted().json(JiraWebhookResponse { event_id: Some(event_id.to_string()), ..plain })
        }
        Ok(JiraIntakeOutcome::Ignored { reason }) => {
            HttpResponse::Ok().json(JiraWebhookResponse { status: "ignored", reason: Some(&reason), ..plain })
        }
        Ok(JiraIntakeOutcome::Forbidden { reason }) => {
            HttpResponse::Forbidden().json(JiraWebhookResponse { status: "forbidden", reason: Some(&reason), ..plain })
        }
        Err(error) => refusal(&error),
    }
}
