//! The client of a chat completion server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, api_address, estimate_max_usage};
use patchwright_domain::Usage;
use patchwright_http::{HttpClient, HttpError, Request, StreamingResponse};

use crate::answer::{PartialAnswer, Problem, Tokens};
use crate::dialect::Dialect;
use crate::options::OpenAiOptions;
use crate::refusal::{Refusal, ServerError};
use crate::stream::{EventStream, is_event_stream};
use crate::wire;

/// A server that asks for a longer wait than this gets no retry from here: the caller schedules it.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// How often the form of one request is changed.
const MAX_ADAPTATIONS: u32 = 8;

/// The model port over a server with OpenAI's chat completions. Cheap to clone; clones share what they found out about the server.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: HttpClient,
    options: Arc<OpenAiOptions>,
    endpoint: String,
    /// What each model was found to accept.
    dialects: Arc<Mutex<HashMap<String, Dialect>>>,
}

/// Why an attempt has no answer.
enum Failure {
    /// The server refused the request, or reported an error in place of the answer.
    Refused { refusal: Refusal, detail: String, after: Option<Duration> },
    /// Asking again may help.
    Again(LlmError),
    /// Asking again does not help.
    Final(LlmError),
}

impl OpenAi {
    /// Creates a client that sends its requests through `http`.
    pub fn new(http: HttpClient, options: OpenAiOptions) -> Self {
        let endpoint = api_address(&options.base_url, "chat/completions");
        Self { http, endpoint, options: Arc::new(options), dialects: Arc::default() }
    }

    fn model_of<'a>(&'a self, request: &'a ChatRequest) -> &'a str {
        request.model.as_deref().unwrap_or(&self.options.model)
    }

    fn dialect(&self, model: &str) -> Dialect {
        let known = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(model).copied().unwrap_or_else(|| Dialect::new(&self.options))
    }

    fn remember(&self, model: &str, dialect: Dialect) {
        self.dialects.lock().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned(), dialect);
    }

    async fn send_once(&self, request: &ChatRequest, dialect: &Dialect) -> Result<ChatAnswer, Failure> {
        let model = self.model_of(request);
        let mut http = Request::post(&self.endpoint).json(&wire::ChatBody::new(model, request, dialect));
        if let Some(key) = self.options.api_key.as_ref().filter(|key| !key.is_empty()) {
            http = http.bearer(key);
        }
        let wait = self.options.first_token_timeout.max(self.options.idle_timeout);
        let sent = tokio::time::timeout(self.options.first_token_timeout, self.http.stream(&http, wait)).await;
        let response = sent.unwrap_or(Err(HttpError::TimedOut)).map_err(|error| self.unreachable(&error))?;
        if !(200..300).contains(&response.status) {
            return Err(self.refused(response).await);
        }
        let answer = self.read_answer(response).await?;
        let (text, answered, tokens) = answer.into_text().map_err(|problem| self.failure(problem))?;
        let tokens = tokens.unwrap_or_else(|| estimate(request, &text));
        let usage = self.price(model, tokens);
        Ok(ChatAnswer { text, model: if answered.is_empty() { model.to_owned() } else { answered }, usage })
    }

    /// Reads an answer, whole or in events: which of both it is, is known by how it begins.
    async fn read_answer(&self, mut response: StreamingResponse) -> Result<PartialAnswer, Failure> {
        let says_events = response.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut begin = Vec::new();
        let mut wait = self.options.first_token_timeout;
        let mut events: Option<(EventStream, PartialAnswer)> = None;
        loop {
            let chunk = tokio::time::timeout(wait, response.chunk()).await.unwrap_or(Err(HttpError::TimedOut));
            let chunk = chunk.map_err(|error| self.unreachable(&error))?;
            let is_end = chunk.is_none();
            let bytes = chunk.unwrap_or_default();
            if let Some((stream, answer)) = &mut events {
                self.apply(&stream.push(&bytes), answer)?;
            } else {
                begin.extend_from_slice(&bytes);
                let is_stream = is_event_stream(&begin).or_else(|| is_end.then_some(says_events));
                if is_stream == Some(true) {
                    let (mut stream, mut answer) = (EventStream::default(), PartialAnswer::default());
                    self.apply(&stream.push(&begin), &mut answer)?;
                    events = Some((stream, answer));
                    wait = self.options.idle_timeout;
                }
            }
            if is_end {
                break;
            }
        }
        match events {
            Some((stream, mut answer)) => {
                self.apply(&stream.finish(), &mut answer)?;
                Ok(answer)
            }
            None => PartialAnswer::read_whole(&begin).map_err(|problem| self.failure(problem)),
        }
    }

    fn apply(&self, events: &[String], answer: &mut PartialAnswer) -> Result<(), Failure> {
        events.iter().try_for_each(|event| answer.apply_event(event)).map_err(|problem| self.failure(problem))
    }

    /// Reads the error of a response.
    async fn refused(&self, response: StreamingResponse) -> Failure {
        let status = response.status;
        if (300..400).contains(&status) {
            let place = response.header("location").unwrap_or("nowhere").to_owned();
            let detail = format!("status {status}: it redirects to {}", self.http.redactor().redact(&place));
            return Failure::Final(LlmError::UnknownModel { detail });
        }
        let complete = tokio::time::timeout(self.options.idle_timeout, response.read_to_end()).await;
        let response = match complete.unwrap_or(Err(HttpError::TimedOut)) {
            Ok(response) => response,
            Err(error) => return self.unreachable(&error),
        };
        let error = ServerError::read(&response.body);
        let detail = format!("status {status}: {}", self.http.redactor().redact(&error.message));
        Failure::Refused { refusal: error.refusal(status), detail, after: response.wait_hint() }
    }

    fn failure(&self, problem: Problem) -> Failure {
        match problem {
            Problem::Server(error) => {
                let detail = format!("it reports: {}", self.http.redactor().redact(&error.message));
                // It began to answer, so that it did not refuse the request as such.
                let refusal = match error.refusal(200) {
                    Refusal::Unknown => Refusal::Overload,
                    known => known,
                };
                Failure::Refused { refusal, detail, after: None }
            }
            Problem::Lost(detail) => {
                let (url, detail) = (self.endpoint.clone(), detail.to_owned());
                Failure::Again(LlmError::Unavailable { url, detail, after: None })
            }
            Problem::Again(LlmError::Unusable { detail }) => {
                Failure::Again(LlmError::Unusable { detail: self.http.redactor().redact(&detail) })
            }
            Problem::Again(error) => Failure::Again(error),
            Problem::Final(error) => Failure::Final(error),
        }
    }

    fn unreachable(&self, error: &HttpError) -> Failure {
        let detail = error.to_string();
        match error {
            HttpError::Address { .. } | HttpError::PrivateAddress { .. } => {
                Failure::Final(LlmError::UnknownModel { detail })
            }
            _ => Failure::Again(LlmError::Unavailable { url: self.endpoint.clone(), detail, after: None }),
        }
    }

    fn price(&self, model: &str, tokens: Tokens) -> Usage {
        let price = self.options.price_of(model);
        let cost = |tokens: u64, price: u64| tokens.saturating_mul(price) / 1_000_000;
        Usage {
            calls: 1,
            prompt_tokens: tokens.prompt,
            completion_tokens: tokens.completion,
            cost_micros: cost(tokens.prompt, price.prompt_micros) + cost(tokens.completion, price.completion_micros),
        }
    }

    /// Makes attempts until there is an answer or no further one helps.
    async fn attempt(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        let (mut backoff, mut attempt, mut adaptations) = (self.options.initial_backoff, 1, 0);
        let model = self.model_of(request);
        let mut dialect = self.dialect(model);
        loop {
            let sent = tokio::time::timeout(self.options.total_timeout, self.send_once(request, &dialect)).await;
            let late = || LlmError::Unavailable {
                url: self.endpoint.clone(),
                detail: "no whole answer in time".to_owned(),
                after: None,
            };
            let (error, after) = match sent.unwrap_or_else(|_| Err(Failure::Again(late()))) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused { refusal, detail, after }) => {
                    if adaptations < MAX_ADAPTATIONS
                        && let Some(other) = dialect.after(&refusal, request.max_tokens)
                    {
                        tracing::info!(llm.model = model, llm.error = %detail, "changing the form of the request as the model server asks");
                        // A limit that holds for this prompt says nothing about the next one.
                        if refusal != Refusal::AnswerLimit(None) {
                            self.remember(model, other);
                        }
                        dialect = other;
                        adaptations += 1;
                        continue;
                    }
                    let error = refusal.into_error(&self.endpoint, detail, after);
                    if !matches!(error, LlmError::Unavailable { .. }) {
                        return Err(error);
                    }
                    (error, after)
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(error)) => (error, None),
            };
            let wait = after.unwrap_or_else(|| backoff.mul_f64(0.5 + fastrand::f64()));
            if attempt >= self.options.max_attempts || wait > MAX_BACKOFF {
                tracing::warn!(llm.attempt = attempt, llm.error = %error, "giving up on a model request");
                return Err(error);
            }
            let wait_ms = wait.as_millis();
            tracing::info!(llm.attempt = attempt, llm.wait_ms = wait_ms, llm.error = %error, "retrying a model request");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => return Err(LlmError::Cancelled),
            }
            backoff *= 2;
            attempt += 1;
        }
    }
}

#[async_trait]
impl Llm for OpenAi {
    fn model(&self) -> String {
        self.options.model.clone()
    }

    fn estimate(&self, request: &ChatRequest) -> Usage {
        let max = estimate_max_usage(request);
        let tokens = Tokens { prompt: max.prompt_tokens, completion: max.completion_tokens };
        self.price(self.model_of(request), tokens)
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        tokio::select! {
            result = self.attempt(request, cancel) => result,
            () = cancel.cancelled() => Err(LlmError::Cancelled),
        }
    }
}

/// Estimates the tokens at four bytes each, for servers that do not report them.
fn estimate(request: &ChatRequest, text: &str) -> Tokens {
    let tokens = |bytes: usize| u64::try_from(bytes / 4 + 1).unwrap_or(u64::MAX);
    let prompt = request.messages.iter().map(|message| message.content.len()).sum();
    Tokens { prompt: tokens(prompt), completion: tokens(text.len()) }
}
