//! An OpenAI-compatible server with scripted responses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, web};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Running, listen};

/// The response to one request.
#[derive(Debug, Clone)]
pub enum Script {
    /// Responds with this text, streamed if the request asks for it.
    Answer(String),
    /// Responds with this status and body.
    Error(u16, Value),
    /// Responds with a timeout after this time.
    Silence(Duration),
    /// Streams this text and ends without the end of the stream.
    CutOff(String),
    /// Responds with this content type and body.
    Raw(String, String),
    /// Streams this text again and again, with a pause before each time but the first.
    Slow(String, Duration, usize),
}

/// Returns the response to a request.
type Deciding = Box<dyn Fn(&Value) -> Script + Send + Sync>;

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Script>>,
    deciding: Option<Deciding>,
    asked: Mutex<Vec<Value>>,
    /// How many requests have come.
    arrived: watch::Sender<usize>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// An OpenAI-compatible server.
#[derive(Debug)]
pub struct LlmServer {
    state: Arc<State>,
    running: Running,
}

impl LlmServer {
    /// Starts a server with these responses in order.
    pub fn start(script: impl IntoIterator<Item = Script>) -> Self {
        Self::serve(State { script: Mutex::new(script.into_iter().collect()), ..State::default() })
    }

    /// Starts a server whose response is a function of the request.
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

    /// Starts a server that responds with these texts in order.
    pub fn answering(answers: &[&str]) -> Self {
        Self::start(answers.iter().map(|answer| Script::Answer((*answer).to_owned())))
    }

    /// Returns the base address, with `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.running.address)
    }

    /// Waits until so many requests have come, for a test that does something while the model is silent.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut arrived = self.state.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= count).await.expect("the server owns the sender");
    }

    /// Returns the bodies of all requests, oldest first.
    pub fn asked(&self) -> Vec<Value> {
        self.state.asked.lock().unwrap().clone()
    }
}

async fn chat(state: web::Data<State>, body: web::Json<Value>) -> HttpResponse {
    let body = body.into_inner();
    let stream = body["stream"] == true;
    let decided = state.deciding.as_ref().map(|decide| decide(&body));
    state.asked.lock().unwrap().push(body);
    state.arrived.send_modify(|arrived| *arrived += 1);
    let next = decided.or_else(|| state.script.lock().unwrap().pop_front());
    match next {
        Some(Script::Answer(text)) if stream => streamed(&text, true),
        Some(Script::Answer(text)) => HttpResponse::Ok().json(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
        })),
        Some(Script::CutOff(text)) => streamed(&text, false),
        Some(Script::Raw(kind, body)) => HttpResponse::Ok().content_type(kind).body(body),
        Some(Script::Slow(text, pause, count)) => {
            let parts = futures_util::stream::unfold(0, move |sent| {
                let text = text.clone();
                async move {
                    if sent == count {
                        return None;
                    }
                    if sent > 0 {
                        tokio::time::sleep(pause).await;
                    }
                    Some((Ok::<_, actix_web::Error>(web::Bytes::from(text)), sent + 1))
                }
            });
            HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(parts))
        }
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
