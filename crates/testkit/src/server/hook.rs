//! A server that records whatever is posted to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, web};

use super::{Running, listen};

/// A request that was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The path and query.
    pub path: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

#[derive(Debug, Default)]
struct State {
    posted: Mutex<Vec<Posted>>,
    answers: Mutex<VecDeque<(u16, String)>>,
}

/// A server that records whatever is posted to it.
#[derive(Debug)]
pub struct HookServer {
    state: Arc<State>,
    running: Running,
}

impl HookServer {
    /// Starts a server that sends these responses first, and then 200 with an empty object.
    pub fn start(answers: &[(u16, &str)]) -> Self {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let state = Arc::new(State { answers: Mutex::new(answers), ..State::default() });
        let shared = Arc::clone(&state);
        let running =
            listen!(move || App::new().app_data(web::Data::from(Arc::clone(&shared))).default_service(web::to(record)));
        Self { state, running }
    }

    /// Returns the address of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Returns all requests, oldest first.
    pub fn posted(&self) -> Vec<Posted> {
        self.state.posted.lock().unwrap().clone()
    }
}

async fn record(request: HttpRequest, body: String, state: web::Data<State>) -> HttpResponse {
    let header = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
    };
    let headers = request.headers().iter().map(header).collect();
    state.posted.lock().unwrap().push(Posted { path: request.uri().to_string(), headers, body });
    let (status, text) = state.answers.lock().unwrap().pop_front().unwrap_or((200, "{}".to_owned()));
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
        .content_type("application/json")
        .body(text)
}
