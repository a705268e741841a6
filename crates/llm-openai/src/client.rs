//! The client of a chat completion server.

use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::Secret;
use patchwright_core::llm::{ChatAnswer, ChatRequest, Llm, LlmError, estimate_max_usage};
use patchwright_domain::Usage;
use patchwright_http::{HttpClient, HttpError, Request, Response};

use crate::stream::EventStream;
use crate::wire;

/// The request field for the limit on the answer's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`, which most servers support.
    MaxTokens,
    /// `max_completion_tokens`, which newer models of OpenAI require.
    MaxCompletionTokens,
}

/// Server, model and parameters of an [`OpenAi`] client.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The server's address, with or without `/v1` and `/chat/completions`.
    pub base_url: String,
    /// The API key, sent as a bearer token.
    pub api_key: Option<Secret>,
    /// The model's name.
    pub model: String,
    /// The request field for the limit on the answer's length.
    pub max_tokens_field: MaxTokensField,
    /// The sampling temperature; `None` leaves it to the server.
    pub temperature: Option<f32>,
    /// Whether to stream the answer, so that slow models do not exceed the time limit of a proxy.
    pub stream: bool,
    /// The time limit for the whole answer, or for the next chunk of a stream.
    pub timeout: Duration,
    /// The largest number of attempts for one request.
    pub max_attempts: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub initial_backoff: Duration,
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
            max_attempts: 3,
            initial_backoff: Duration::from_secs(1),
            prompt_price_micros: 0,
            completion_price_micros: 0,
        }
    }
}

/// A server that asks for a longer wait than this gets no retry from here: the caller schedules it.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The longest part of a model's refusal that an error repeats, in characters.
const MAX_REFUSAL_CHARS: usize = 200;

/// The model port over a server with OpenAI's chat completions.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: HttpClient,
    options: OpenAiOptions,
    endpoint: String,
}

impl OpenAi {
    /// Creates a client that sends its requests through `http`.
    pub fn new(http: HttpClient, options: OpenAiOptions) -> Self {
        Self { http, endpoint: endpoint(&options.base_url), options }
    }

    fn request_body<'a>(&'a self, request: &'a ChatRequest) -> wire::ChatBody<'a> {
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

    async fn send_once(&self, request: &ChatRequest) -> Result<ChatAnswer, LlmError> {
        let mut http = Request::post(&self.endpoint).json(&self.request_body(request));
        if let Some(key) = self.options.api_key.as_ref().filter(|key| !key.is_empty()) {
            http = http.bearer(key);
        }
        let failed = |error: HttpError| self.unavailable(&error.to_string(), None);
        let mut streaming = self.http.stream(&http, self.options.timeout).await.map_err(failed)?;
        let is_stream = streaming.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !(200..300).contains(&streaming.status) || !is_stream {
            let complete = tokio::time::timeout(self.options.timeout, streaming.read_to_end()).await;
            let response = complete.map_err(|_| self.unavailable("no whole answer in time", None))?.map_err(failed)?;
            return if response.is_success() {
                self.decode_complete(request, &response)
            } else {
                Err(self.classify(&response))
            };
        }
        let mut events = EventStream::default();
        let mut partial = PartialAnswer::default();
        while let Some(chunk) = streaming.chunk().await.map_err(failed)? {
            for data in events.push(&chunk) {
                partial.apply(&data)?;
            }
        }
        if let Some(data) = events.finish() {
            partial.apply(&data)?;
        }
        if !partial.done {
            return Err(self.unavailable("the stream was cut off", None));
        }
        self.finish(request, partial)
    }

    fn decode_complete(&self, request: &ChatRequest, response: &Response) -> Result<ChatAnswer, LlmError> {
        let answer: wire::ChatAnswer = response.json().map_err(|error| {
            let excerpt = self.http.redactor().redact(&response.excerpt());
            LlmError::Unusable { detail: format!("it is not a chat completion: {error}: {excerpt}") }
        })?;
        let mut partial = PartialAnswer { model: answer.model, usage: answer.usage, ..PartialAnswer::default() };
        if let Some(choice) = answer.choices.into_iter().next() {
            partial.finish_reason = choice.finish_reason;
            partial.append(choice.message);
        }
        self.finish(request, partial)
    }

    fn finish(&self, request: &ChatRequest, partial: PartialAnswer) -> Result<ChatAnswer, LlmError> {
        match partial.finish_reason.as_deref() {
            Some("length") => return Err(LlmError::Truncated),
            Some("content_filter") => {
                return Err(LlmError::Unusable { detail: "the server's content filter blocked it".to_owned() });
            }
            _ => {}
        }
        if let Some(refusal) = partial.refusal {
            let refusal: String = refusal.chars().take(MAX_REFUSAL_CHARS).collect();
            return Err(LlmError::Unusable { detail: format!("the model refused: {refusal}") });
        }
        if partial.text.trim().is_empty() {
            return Err(LlmError::Unusable { detail: "it is empty".to_owned() });
        }
        let usage = partial.usage.unwrap_or_else(|| estimate(request, &partial.text));
        Ok(ChatAnswer {
            model: if partial.model.is_empty() { self.options.model.clone() } else { partial.model },
            usage: self.price(usage),
            text: partial.text,
        })
    }

    fn price(&self, usage: wire::Usage) -> Usage {
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

    /// Classifies an error response by its status and its `code` or `type` (OpenAI's "Error codes"). 402 is `DeepSeek`'s
    /// "Insufficient Balance"; `vLLM` reports "maximum context length" without a code.
    fn classify(&self, response: &Response) -> LlmError {
        let error = ServerError::decode(response);
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
        let max = estimate_max_usage(request);
        self.price(wire::Usage { prompt_tokens: max.prompt_tokens, completion_tokens: max.completion_tokens })
    }

    async fn chat(&self, request: &ChatRequest, cancel: &CancellationToken) -> Result<ChatAnswer, LlmError> {
        let mut backoff = self.options.initial_backoff;
        let mut attempt = 1;
        loop {
            let result = tokio::select! {
                result = self.send_once(request) => result,
                () = cancel.cancelled() => return Err(LlmError::Cancelled),
            };
            let Err(LlmError::Unavailable { after, detail, .. }) = &result else { return result };
            let wait = after.unwrap_or_else(|| backoff.mul_f64(0.5 + fastrand::f64()));
            if attempt >= self.options.max_attempts || wait > MAX_BACKOFF {
                tracing::warn!(llm.attempt = attempt, llm.error = %detail, "giving up on a model request");
                return result;
            }
            let wait_ms = wait.as_millis();
            tracing::info!(llm.attempt = attempt, llm.wait_ms = wait_ms, llm.error = %detail, "retrying a model request");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => return Err(LlmError::Cancelled),
            }
            backoff *= 2;
            attempt += 1;
        }
    }
}

/// The part of an answer that has been received.
#[derive(Debug, Default)]
struct PartialAnswer {
    text: String,
    model: String,
    refusal: Option<String>,
    finish_reason: Option<String>,
    usage: Option<wire::Usage>,
    done: bool,
}

impl PartialAnswer {
    /// Applies the data of one event of a stream.
    fn apply(&mut self, data: &str) -> Result<(), LlmError> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: wire::ChatAnswer = serde_json::from_str(data)
            .map_err(|error| LlmError::Unusable { detail: format!("an event of the stream is invalid: {error}") })?;
        if !chunk.model.is_empty() {
            self.model = chunk.model;
        }
        self.usage = chunk.usage.or(self.usage);
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
            self.append(choice.delta);
        }
        Ok(())
    }

    fn append(&mut self, delta: Option<wire::Text>) {
        let Some(delta) = delta else { return };
        self.text.push_str(&delta.content.unwrap_or_default());
        if let Some(refusal) = delta.refusal {
            self.refusal.get_or_insert_default().push_str(&refusal);
        }
    }
}

/// An error response, normalized.
#[derive(Debug, Default)]
struct ServerError {
    message: String,
    kind: String,
    code: String,
}

impl ServerError {
    fn decode(response: &Response) -> Self {
        let Ok(answer) = response.json::<wire::ErrorAnswer>() else {
            return Self { message: response.excerpt(), ..Self::default() };
        };
        let to_text = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        };
        match answer.error {
            Some(wire::ErrorField::Object { message, kind, code }) => {
                Self { message: message.unwrap_or_default(), kind: kind.unwrap_or_default(), code: to_text(code) }
            }
            Some(wire::ErrorField::Text(message)) => Self { message, ..Self::default() },
            None => Self { message: answer.message.unwrap_or_else(|| to_text(answer.detail)), ..Self::default() },
        }
    }
}

/// Returns `{base}/chat/completions`, completing the parts that the base does not have.
fn endpoint(base: &str) -> String {
    let base = base.trim_end_matches('/').trim_end_matches("/chat/completions");
    let has_path = url::Url::parse(base).is_ok_and(|url| url.path().len() > 1);
    let version = if has_path { "" } else { "/v1" };
    format!("{base}{version}/chat/completions")
}

/// Estimates the usage at four bytes a token, for servers that do not report it.
fn estimate(request: &ChatRequest, text: &str) -> wire::Usage {
    let tokens = |bytes: usize| u64::try_from(bytes / 4 + 1).unwrap_or(u64::MAX);
    let prompt = request.messages.iter().map(|message| message.content.len()).sum();
    wire::Usage { prompt_tokens: tokens(prompt), completion_tokens: tokens(text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_completed_from_any_base_address() {
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1/v1/chat/completions"] {
            assert_eq!(endpoint(base), "http://h:1/v1/chat/completions", "{base}");
        }
        assert_eq!(endpoint("http://h/openai/deployments/x"), "http://h/openai/deployments/x/chat/completions");
    }
}
