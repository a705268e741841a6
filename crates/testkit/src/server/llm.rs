//! An OpenAI-compatible server with a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, web};
use serde_json::{Value, json};

use super::{Running, listen};

/// What the server does with one question.
#[derive(Debug, Clone)]
pub enum Script {
    /// Answers with this text, in one piece or streamed as the question wants.
    Answer(String),
    /// Answers with this status and body.
    Error(u16, Value),
    /// Answers only after a while.
    Silence(Duration),
    /// Streams a part and cuts the connection's stream off.
    CutOff(String),
}

/// Answers each question by itself.
type Deciding = Box<dyn Fn(&Value) -> Script + Send + Sync>;

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Script>>,
    deciding: Option<Deciding>,
    asked: Mutex<Vec<Value>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// The server.
#[derive(Debug)]
pub struct LlmServer {
    state: Arc<State>,
    running: Running,
}

impl LlmServer {
    /// Starts a server with this script.
    pub fn start(script: impl IntoIterator<Item = Script>) -> Self {
        Self::serve(State { script: Mutex::new(script.into_iter().collect()), ..State::default() })
    }

    /// Starts a server that decides by the question.
    pub fn deciding(decide: impl Fn(&Value) -> Script + Send + Sync + 'static) -> Self {
        Self::serve(State { deciding: Some(Box::new(decide)), ..State::default() })
    }

    fn serve(state: State) -> Self {
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        let running = listen!(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&shared)))
                .app_data(web::JsonConfig::default().limit(64 * 1024 * 1024))
                .route("/v1/chat/completions", web::post().to(chat))
        });
        Self { state, running }
    }

    /// A server that gives these answers, one after the other.
    pub fn answering(answers: &[&str]) -> Self {
        Self::start(answers.iter().map(|answer| Script::Answer((*answer).to_owned())))
    }

    /// The base address, with `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.running.address)
    }

    /// The bodies of all questions.
    pub fn asked(&self) -> Vec<Value> {
        self.state.asked.lock().unwrap().clone()
    }
}

async fn chat(state: web::Data<State>, body: web::Json<Value>) -> HttpResponse {
    let body = body.into_inner();
    let stream = body["stream"] == true;
    let decided = state.deciding.as_ref().map(|decide| decide(&body));
    state.asked.lock().unwrap().push(body);
    let next = decided.or_else(|| state.script.lock().unwrap().pop_front());
    match next {
        Some(Script::Answer(text)) if stream => streamed(&text, true),
        Some(Script::Answer(text)) => HttpResponse::Ok().json(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
        })),
        Some(Script::CutOff(text)) => streamed(&text, false),
        Some(Script::Error(status, body)) => {
            HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).json(body)
        }
        Some(Script::Silence(time)) => {
            tokio::time::sleep(time).await;
            HttpResponse::GatewayTimeout().finish()
        }
        None => HttpResponse::NotImplemented().json(json!({"error": {"message": "the script has ended"}})),
    }
}

fn streamed(text: &str, whole: bool) -> HttpResponse {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "model": "scripted-1",
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut out = String::from(": hello\n\n");
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    for piece in [&text[..middle], &text[middle..]] {
        out.push_str(&format!("data: {}\n\n", chunk(json!({"content": piece}), Value::Null)));
    }
    if whole {
        out.push_str(&format!("data: {}\n\n", chunk(json!({}), json!("stop"))));
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 30}});
        out.push_str(&format!("data: {usage}\n\ndata: [DONE]\n\n"));
    }
    HttpResponse::Ok().content_type("text/event-stream").body(out)
}
