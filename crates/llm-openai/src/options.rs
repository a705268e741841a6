//! The options of a client.

use std::collections::BTreeMap;
use std::time::Duration;

use patchwright_core::Secret;

/// The request field for the limit on the answer's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`, which most servers support.
    MaxTokens,
    /// `max_completion_tokens`, which newer models of OpenAI require.
    MaxCompletionTokens,
}

/// What a model costs, in millionths of the currency unit for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// For tokens of the prompt.
    pub prompt_micros: u64,
    /// For tokens of the answer.
    pub completion_micros: u64,
}

/// Server, model and parameters of an [`OpenAi`](crate::OpenAi) client.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The server's address, with or without `/v1` and `/chat/completions`; it may have a query.
    pub base_url: String,
    /// The API key, sent as a bearer token.
    pub api_key: Option<Secret>,
    /// The model's name.
    pub model: String,
    /// The request field for the limit on the answer's length, until a server refuses it.
    pub max_tokens_field: MaxTokensField,
    /// The sampling temperature, until a server refuses it; `None` leaves it to the server.
    pub temperature: Option<f32>,
    /// Whether a server is told of a request's tools, until it refuses them. Without them, models write calls as text.
    pub tools: bool,
    /// Whether to stream the answer, so that slow models do not exceed the time limit of a proxy.
    pub stream: bool,
    /// The time limit for the first part of a streamed answer, and for the whole of one that is not streamed.
    pub first_token_timeout: Duration,
    /// The time limit between two parts of a streamed answer.
    pub idle_timeout: Duration,
    /// The time limit for one answer.
    pub total_timeout: Duration,
    /// The largest number of attempts for one request.
    pub max_attempts: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub initial_backoff: Duration,
    /// The price of models that are not in `prices`.
    pub price: Price,
    /// The prices by model, by the name that is asked for.
    pub prices: BTreeMap<String, Price>,
}

impl OpenAiOptions {
    /// Returns the price of a model.
    pub(crate) fn price_of(&self, model: &str) -> Price {
        self.prices.get(model).copied().unwrap_or(self.price)
    }
}

impl Default for OpenAiOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: None,
            model: "gpt-4o-mini".to_owned(),
            max_tokens_field: MaxTokensField::MaxTokens,
            temperature: Some(0.0),
            tools: true,
            stream: false,
            first_token_timeout: Duration::from_secs(180),
            idle_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(900),
            max_attempts: 3,
            initial_backoff: Duration::from_secs(1),
            price: Price::default(),
            prices: BTreeMap::new(),
        }
    }
}
