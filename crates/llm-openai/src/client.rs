//! Asking a server.

use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::Secret;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, estimate_most};
use patchwright_domain::Usage;
use patchwright_http::{HttpClient, HttpError, Request, Response};

use crate::stream::EventStream;
use crate::wire;

/// Which field carries the answer's length limit: newer models of OpenAI refuse the older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`, which every other server knows.
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
}

/// Which server, which model, how.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// With or without `/v1` and `/chat/completions`.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
    /// The model.
    pub model: String,
    /// The field for the length limit.
    pub max_tokens_field: MaxTokensField,
    /// How free the model is; `None` leaves it to the server.
    pub temperature: Option<f32>,
    /// Whether to read the answer as it is written. Keeps slow models from running into a proxy's time-out.
    pub stream: bool,
    /// The longest silence: until the whole answer, or until the next piece of a stream.
    pub timeout: Duration,
    /// How often a question is asked at the most.
    pub tries: u32,
    /// The wait before the second try; it doubles.
    pub first_wait: Duration,
    /// The price of a million prompt tokens, in millionths of the currency unit.
    pub prompt_price_micros: u64,
    /// The price of a million completion tokens, in millionths of the currency unit.
    pub completion_price_micros: u64,
}

impl Default for OpenAiOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: None,
            model: "gpt-4o-mini".to_owned(),
            max_tokens_field: MaxTokensField::MaxTokens,
            temperature: Some(0.0),
            stream: false,
            timeout: Duration::from_secs(180),
            tries: 3,
            first_wait: Duration::from_secs(1),
            prompt_price_micros: 0,
            completion_price_micros: 0,
        }
    }
}

/// The longest wait between two tries; a server that wants more gets its answer from the engine's own plan.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: HttpClient,
    options: OpenAiOptions,
    endpoint: String,
}

impl OpenAi {
    /// The server behind these options.
    pub fn new(http: HttpClient, options: OpenAiOptions) -> Self {
        Self { http, endpoint: endpoint(&options.base_url), options }
    }

    fn body<'a>(&'a self, request: &'a ChatRequest) -> wire::ChatBody<'a> {
        let limit = request.max_tokens;
        let new_field = self.options.max_tokens_field == MaxTokensField::MaxCompletionTokens;
        wire::ChatBody {
            model: &self.options.model,
            messages: request.messages.iter().map(Into::into).collect(),
            max_tokens: limit.filter(|_| !new_field),
            max_completion_tokens: limit.filter(|_| new_field),
            temperature: self.options.temperature,
            stream: self.options.stream,
            stream_options: self.options.stream.then_some(wire::StreamOptions { include_usage: true }),
        }
    }

    async fn once(&self, request: &ChatRequest) -> Result<ChatAnswer, LlmError> {
        let mut http = Request::post(&self.endpoint).json(&self.body(request));
        if let Some(key) = self.options.api_key.as_ref().filter(|key| !key.is_empty()) {
            http = http.bearer(key);
        }
        let failed = |error: HttpError| self.unavailable(&error.to_string(), None);
        let mut streaming = self.http.stream(&http, self.options.timeout).await.map_err(failed)?;
        let is_events = streaming.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !(200..300).contains(&streaming.status) || !is_events {
            let whole = tokio::time::timeout(self.options.timeout, streaming.whole()).await;
            let response = whole.map_err(|_| self.unavailable("no whole answer in time", None))?.map_err(failed)?;
            return if response.is_success() {
                self.read_whole(request, &response)
            } else {
                Err(self.refusal(&response))
            };
        }
        let mut events = EventStream::default();
        let mut partial = Partial::default();
        while let Some(chunk) = streaming.chunk().await.map_err(failed)? {
            for data in events.push(&chunk) {
                partial.take(&data)?;
            }
        }
        if let Some(data) = events.finish() {
            partial.take(&data)?;
        }
        if !partial.done {
            return Err(self.unavailable("the stream was cut off", None));
        }
        self.answer(request, partial)
    }

    fn read_whole(&self, request: &ChatRequest, response: &Response) -> Result<ChatAnswer, LlmError> {
        let answer: wire::ChatAnswer = response.json().map_err(|error| LlmError::Unusable {
            detail: format!("it is no chat completion: {error}: {}", self.http.redactor().redact(&response.excerpt())),
        })?;
        let mut partial = Partial { model: answer.model, usage: answer.usage, ..Partial::default() };
        if let Some(choice) = answer.choices.into_iter().next() {
            partial.finish_reason = choice.finish_reason;
            partial.add(choice.message);
        }
        self.answer(request, partial)
    }

    fn answer(&self, request: &ChatRequest, partial: Partial) -> Result<ChatAnswer, LlmError> {
        match partial.finish_reason.as_deref() {
            Some("length") => return Err(LlmError::CutOff),
            Some("content_filter") => {
                return Err(LlmError::Unusable { detail: "the server's content filter withheld it".to_owned() });
            }
            _ => {}
        }
        if let Some(refusal) = partial.refusal {
            let refusal: String = refusal.chars().take(200).collect();
            return Err(LlmError::Unusable { detail: format!("the model refused: {refusal}") });
        }
        if partial.text.trim().is_empty() {
            return Err(LlmError::Unusable { detail: "it is empty".to_owned() });
        }
        let usage = partial.usage.unwrap_or_else(|| estimate(request, &partial.text));
        Ok(ChatAnswer {
            model: if partial.model.is_empty() { self.options.model.clone() } else { partial.model },
            usage: self.priced(usage),
            text: partial.text,
        })
    }

    fn priced(&self, usage: wire::Usage) -> Usage {
        let cost = |tokens: u64, price: u64| tokens.saturating_mul(price) / 1_000_000;
        Usage {
            calls: 1,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cost_micros: cost(usage.prompt_tokens, self.options.prompt_price_micros)
                + cost(usage.completion_tokens, self.options.completion_price_micros),
        }
    }

    fn unavailable(&self, detail: &str, after: Option<Duration>) -> LlmError {
        LlmError::Unavailable { url: self.endpoint.clone(), detail: detail.to_owned(), after }
    }

    /// What an error answer means (`reference/contracts`, section 6).
    fn refusal(&self, response: &Response) -> LlmError {
        let error = ServerError::read(response);
        let detail = format!("status {}: {}", response.status, self.http.redactor().redact(&error.message));
        let has = |word: &str| error.code.contains(word) || error.kind.contains(word);
        match response.status {
            400 | 413 | 422 if has("context_length") || error.message.contains("maximum context length") => {
                LlmError::ContextTooLong { detail }
            }
            402 => LlmError::QuotaExhausted { detail },
            429 if has("insufficient_quota") || has("credit_balance") => LlmError::QuotaExhausted { detail },
            408 | 429 | 500.. => self.unavailable(&detail, response.wait_hint()),
            _ => LlmError::Denied { detail },
        }
    }
}

#[async_trait]
impl Llm for OpenAi {
    fn model(&self) -> String {
        self.options.model.clone()
    }

    fn estimate(&self, request: &ChatRequest) -> Usage {
        let most = estimate_most(request);
        let tokens = wire::Usage { prompt_tokens: most.prompt_tokens, completion_tokens: most.completion_tokens };
        self.priced(tokens)
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        let mut wait = self.options.first_wait;
        let mut attempt = 1;
        loop {
            let result = tokio::select! {
                result = self.once(request) => result,
                () = cancel.cancelled() => return Err(LlmError::Cancelled),
            };
            let Err(LlmError::Unavailable { after, detail, .. }) = &result else { return result };
            let pause = after.unwrap_or_else(|| wait.mul_f64(0.5 + fastrand::f64()));
            if attempt >= self.options.tries || pause > LONGEST_WAIT {
                return result;
            }
            tracing::info!(llm.attempt = attempt, llm.wait_ms = pause.as_millis(), llm.error = %detail, "the model is asked again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(LlmError::Cancelled),
            }
            wait *= 2;
            attempt += 1;
        }
    }
}

/// An answer while it comes.
#[derive(Debug, Default)]
struct Partial {
    text: String,
    model: String,
    refusal: Option<String>,
    finish_reason: Option<String>,
    usage: Option<wire::Usage>,
    done: bool,
}

impl Partial {
    fn take(&mut self, data: &str) -> Result<(), LlmError> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: wire::ChatAnswer = serde_json::from_str(data)
            .map_err(|error| LlmError::Unusable { detail: format!("a piece of the stream is no chunk: {error}") })?;
        if !chunk.model.is_empty() {
            self.model = chunk.model;
        }
        self.usage = chunk.usage.or(self.usage);
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            self.add(choice.delta);
        }
        Ok(())
    }

    fn add(&mut self, piece: Option<wire::Text>) {
        let Some(piece) = piece else { return };
        self.text.push_str(&piece.content.unwrap_or_default());
        if let Some(refusal) = piece.refusal {
            self.refusal.get_or_insert_default().push_str(&refusal);
        }
    }
}

/// An error answer in one shape.
#[derive(Debug, Default)]
struct ServerError {
    message: String,
    kind: String,
    code: String,
}

impl ServerError {
    fn read(response: &Response) -> Self {
        let Ok(answer) = response.json::<wire::ErrorAnswer>() else {
            return Self { message: response.excerpt(), ..Self::default() };
        };
        let word = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        };
        match answer.error {
            Some(wire::ErrorField::Object { message, kind, code }) => {
                Self { message: message.unwrap_or_default(), kind: kind.unwrap_or_default(), code: word(code) }
            }
            Some(wire::ErrorField::Text(message)) => Self { message, ..Self::default() },
            None => Self { message: answer.message.unwrap_or_else(|| word(answer.detail)), ..Self::default() },
        }
    }
}

/// `{base}/chat/completions`, whatever part of it the base already has.
fn endpoint(base: &str) -> String {
    let base = base.trim_end_matches('/').trim_end_matches("/chat/completions");
    let has_path = url::Url::parse(base).is_ok_and(|url| url.path().len() > 1);
    let version = if has_path { "" } else { "/v1" };
    format!("{base}{version}/chat/completions")
}

/// About four bytes a token: good enough for a budget when the server does not count.
fn estimate(request: &ChatRequest, text: &str) -> wire::Usage {
    let tokens = |bytes: usize| u64::try_from(bytes / 4 + 1).unwrap_or(u64::MAX);
    let prompt = request.messages.iter().map(|message| message.content.len()).sum();
    wire::Usage { prompt_tokens: tokens(prompt), completion_tokens: tokens(text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_found_from_any_part_of_it() {
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/chat/completions"] {
            assert_eq!(endpoint(base), "http://h:1/v1/chat/completions", "{base}");
        }
        assert_eq!(endpoint("http://h/openai/deployments/x"), "http://h/openai/deployments/x/chat/completions");
    }
}
