//! The model proxy for external programs: a local HTTP server that forwards calls to the real model server. The program
//! never sees the real key, and calls that would exceed a budget are not forwarded.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_core::fault::Cause;
use patchwright_core::model_proxy::{ModelProxy, ProxyRequest, ProxySession};
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::Usage;
use patchwright_http::{HttpClient, Request, StreamingResponse};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// The largest request, in bytes.
const MAX_BODY: usize = 32 << 20;
/// The largest answer to a request without a limit, in tokens.
const UNBOUNDED_ANSWER: u64 = 16_384;
/// The paths of the forwarded calls.
const CALLS: [&str; 4] = ["chat/completions", "completions", "responses", "messages"];
/// How many bytes at the end of an answer are searched for its usage.
const TAIL: usize = 64 * 1024;

/// The real model server.
#[derive(Debug, Clone)]
pub struct ModelProxyOptions {
    /// The base URL, with `/v1`.
    pub base_url: String,
    /// The API key.
    pub api_key: Option<Secret>,
    /// The model for programs.
    pub model: String,
    /// The longest wait for the next part of an answer.
    pub timeout: Duration,
    /// The price of a million prompt tokens, in millionths of the currency unit.
    pub prompt_price_micros: u64,
    /// The price of a million completion tokens, in millionths of the currency unit.
    pub completion_price_micros: u64,
}

/// Starts proxies on the loopback address.
#[derive(Debug, Clone)]
pub struct LoopbackModelProxy {
    http: HttpClient,
    options: Arc<ModelProxyOptions>,
}

impl LoopbackModelProxy {
    /// Creates one that forwards calls with this client.
    pub fn new(http: HttpClient, options: ModelProxyOptions) -> Self {
        Self { http, options: Arc::new(options) }
    }
}

struct Listener {
    http: HttpClient,
    options: Arc<ModelProxyOptions>,
    key: Secret,
    books: mpsc::Sender<ProxyRequest>,
}

#[async_trait]
impl ModelProxy for LoopbackModelProxy {
    async fn open(&self) -> Result<ProxySession, Cause> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
        let key = Secret::new(bytes.map(|byte| format!("{byte:02x}")).concat());
        let (books, requests) = mpsc::channel(8);
        let proxy = Listener { http: self.http.clone(), options: Arc::clone(&self.options), key: key.clone(), books };
        let proxy = web::Data::new(proxy);
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(proxy.clone())
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route("/v1/models", web::get().to(models))
                .route("/v1/{call:.*}", web::post().to(call))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        let open = CancellationToken::new();
        let closed = open.clone();
        tokio::spawn(async move {
            closed.cancelled().await;
            handle.stop(false).await;
        });
        Ok(ProxySession {
            base_url: format!("http://{address}/v1"),
            address,
            api_key: key,
            model: self.options.model.clone(),
            requests,
            guard: open.drop_guard(),
        })
    }
}

fn problem(status: StatusCode, kind: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": {"message": message, "type": kind, "code": kind}}))
}

fn admitted(proxy: &Listener, request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| header("x-api-key")).is_some_and(|given| proxy.key.matches(given))
}

async fn models(request: HttpRequest, proxy: web::Data<Listener>) -> HttpResponse {
    if !admitted(&proxy, &request) {
        return problem(StatusCode::UNAUTHORIZED, "invalid_api_key", "the API key is invalid");
    }
    HttpResponse::Ok().json(json!({"object": "list", "data": [{"id": proxy.options.model, "object": "model"}]}))
}

async fn call(
    request: HttpRequest,
    call: web::Path<String>,
    body: web::Bytes,
    proxy: web::Data<Listener>,
) -> HttpResponse {
    if !admitted(&proxy, &request) {
        return problem(StatusCode::UNAUTHORIZED, "invalid_api_key", "the API key is invalid");
    }
    if !CALLS.contains(&call.as_str()) {
        return problem(StatusCode::NOT_FOUND, "not_found", "this call is not passed on");
    }
    let Ok(Value::Object(mut question)) = serde_json::from_slice::<Value>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "invalid_request_error", "the body is not a JSON object");
    };
    let most = proxy.options.priced(body.len() as u64 / 3 + 1, longest_answer(&question));
    let day = match proxy.reserve(most).await {
        Ok(day) => day,
        Err(why) => return problem(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", &why),
    };
    let booking = Booking { proxy: proxy.clone(), day, most, spent: None };
    if question.get("stream") == Some(&Value::Bool(true)) && call.as_str() != "messages" && call.as_str() != "responses"
    {
        question.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    // The prices of other models are unknown.
    question.insert("model".to_owned(), proxy.options.model.clone().into());
    let address = patchwright_core::llm::api_address(&proxy.options.base_url, &call);
    let mut onward = Request::post(address).json(&Value::Object(question));
    if let Some(key) = &proxy.options.api_key {
        onward = onward.bearer(key);
    }
    match proxy.http.stream(&onward, proxy.options.timeout).await {
        Ok(answer) => passed_back(answer, booking),
        Err(error) => {
            booking.settle(Usage::default()).await;
            problem(StatusCode::BAD_GATEWAY, "server_error", &error.to_string())
        }
    }
}

fn longest_answer(question: &serde_json::Map<String, Value>) -> u64 {
    let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
    let number = |name: &&str| question.get(*name)?.as_u64();
    let answers = ["n", "best_of"].iter().filter_map(number).max().unwrap_or(1).max(1);
    limits.iter().find_map(number).unwrap_or(UNBOUNDED_ANSWER).saturating_mul(answers)
}

impl ModelProxyOptions {
    fn priced(&self, prompt_tokens: u64, completion_tokens: u64) -> Usage {
        let cost = |tokens: u64, price: u64| tokens.saturating_mul(price) / 1_000_000;
        Usage {
            calls: 1,
            prompt_tokens,
            completion_tokens,
            cost_micros: cost(prompt_tokens, self.prompt_price_micros)
                + cost(completion_tokens, self.completion_price_micros),
        }
    }
}

impl Listener {
    async fn reserve(&self, most: Usage) -> Result<Date, String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "the task has ended".to_owned();
        self.books.send(ProxyRequest::Reserve { most, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// The reservation of one call. If the call is aborted, its maximum usage stays reserved.
struct Booking {
    proxy: web::Data<Listener>,
    day: Date,
    most: Usage,
    spent: Option<Usage>,
}

impl Booking {
    async fn settle(&self, spent: Usage) {
        let request = ProxyRequest::Settle { day: self.day, most: self.most, spent };
        let _ = self.proxy.books.send(request).await;
    }
}

/// Streams the answer, and settles its usage at the end.
fn passed_back(answer: StreamingResponse, booking: Booking) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = answer.header("content-type").unwrap_or("application/json").to_owned();
    let state = (answer, booking, Vec::new());
    let pieces = futures_util::stream::unfold(Some(state), move |state| async move {
        let (mut answer, mut booking, mut tail) = state?;
        match answer.chunk().await {
            Ok(Some(piece)) => {
                tail.extend_from_slice(&piece);
                let over = tail.len().saturating_sub(TAIL);
                tail.drain(..over);
                Some((Ok(piece), Some((answer, booking, tail))))
            }
            Ok(None) => {
                booking.spent = usage(&tail).map(|(sent, got)| booking.proxy.options.priced(sent, got));
                let refused = status.is_client_error() || status.is_server_error();
                let unknown = if refused { Usage::default() } else { booking.most };
                booking.settle(booking.spent.unwrap_or(unknown)).await;
                None
            }
            Err(error) => {
                // It may have used the maximum.
                booking.settle(booking.most).await;
                Some((Err(std::io::Error::other(error.to_string())), None))
            }
        }
    });
    HttpResponse::build(status).content_type(kind).streaming(pieces)
}

/// Returns the last usage in an answer, which is one JSON object or a stream of events.
fn usage(tail: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(tail);
    let at = text.rfind("\"usage\"")?;
    let rest = text[at + "\"usage\"".len()..].trim_start().strip_prefix(':')?;
    let found = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
    let number = |names: [&str; 2]| names.iter().find_map(|name| found.get(*name)?.as_u64());
    Some((number(["prompt_tokens", "input_tokens"])?, number(["completion_tokens", "output_tokens"])?))
}

#[cfg(test)]
mod tests {
    use patchwright_http::{HttpOptions, Retry};
    use patchwright_testkit::server::{LlmServer, Script};

    use super::*;

    #[test]
    fn what_an_answer_cost_is_read_from_its_end() {
        let whole = br#"{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}"#;
        assert_eq!(usage(whole), Some((7, 3)));
        let stream =
            b"data: {\"usage\":null}\n\ndata: {\"usage\":{\"input_tokens\":5,\"output_tokens\":2}}\n\ndata: [DONE]\n\n";
        assert_eq!(usage(stream), Some((5, 2)));
        assert_eq!(usage(b"data: [DONE]"), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_program_reaches_the_model_with_its_own_key_as_long_as_there_is_room() {
        patchwright_http::install_tls();
        let llm = LlmServer::start([Script::Answer("hello".into())]);
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let options = ModelProxyOptions {
            base_url: llm.url(),
            api_key: Some(Secret::new("the-real-key")),
            model: "m".into(),
            timeout: Duration::from_secs(10),
            prompt_price_micros: 0,
            completion_price_micros: 0,
        };
        let mut gate = LoopbackModelProxy::new(http.clone(), options).open().await.unwrap();
        let url = format!("{}/chat/completions", gate.base_url);
        let messages = json!([{"role": "user", "content": "hi"}]);
        let question = json!({"model": "a-dearer-one", "messages": messages, "max_tokens": 25, "n": 2});
        let ask = async |key: &Secret| {
            http.send(Request::post(url.clone()).bearer(key).json(&question), Retry::Never).await.unwrap()
        };
        assert_eq!(ask(&Secret::new("the-real-key")).await.status, 401, "only the gate's own key opens it");
        let own = gate.api_key.clone();
        let books = async {
            let Some(ProxyRequest::Reserve { most, answer }) = gate.requests.recv().await else {
                panic!("booked first")
            };
            assert!(most.completion_tokens == 50 && most.prompt_tokens > 10, "{most:?}");
            answer.send(Ok("2026-01-02".parse().unwrap())).unwrap();
            let Some(ProxyRequest::Settle { spent, .. }) = gate.requests.recv().await else { panic!("settled then") };
            assert!(spent.calls == 1 && spent.tokens() > 0, "{spent:?}");
            let Some(ProxyRequest::Reserve { answer, .. }) = gate.requests.recv().await else { panic!("booked again") };
            answer.send(Err("the budget is used up".into())).unwrap();
        };
        let program = async {
            let answer = ask(&own).await;
            assert!(answer.is_success() && answer.text().contains("hello"), "{}", answer.text());
            let refused = ask(&own).await;
            assert_eq!(refused.status, 429);
            assert!(refused.text().contains("the budget is used up"));
        };
        tokio::join!(books, program);
        assert_eq!(llm.asked().iter().map(|asked| &asked["model"]).collect::<Vec<_>>(), ["m"]);
        drop(gate);
        for _ in 0..200 {
            if http.send(Request::get(url.clone()), Retry::Never).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the gate stays open");
    }
}
