//! The door for deliveries of Jira.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use patchwright_engine::jira::Heard;
use serde::Serialize;

use super::super::State;
use super::super::webhook::{RequestHeaders, come_in, refuse, wrong_kind};

#[derive(Serialize)]
struct Told<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

pub(crate) async fn receive(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let (body, _inside) = match come_in(&request, payload, &state).await {
        Ok(come) => come,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = wrong_kind(request.headers(), &body) {
        return refusal;
    }
    match state.app.engine.receive_jira(&RequestHeaders(request.headers()), &body).await {
        Ok(Heard::Accepted { event_id }) => {
            let told = Told { status: "accepted", event_id: Some(event_id.to_string()), reason: None };
            HttpResponse::Accepted().json(told)
        }
        Ok(Heard::Ignored { reason }) => {
            HttpResponse::Ok().json(Told { status: "ignored", event_id: None, reason: Some(&reason) })
        }
        Ok(Heard::Forbidden { reason }) => HttpResponse::build(StatusCode::FORBIDDEN).json(Told {
            status: "forbidden",
            event_id: None,
            reason: Some(&reason),
        }),
        Err(refusal) => refuse(&refusal),
    }
}
