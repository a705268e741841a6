//! The settings of the model.

use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_llm_openai::MaxTokensField;

use super::{ConfigError, Values};

/// The settings of the model.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct LlmConfig {
    pub base_url: Option<String>,
    pub api_key: Option<Secret>,
    pub model: String,
    pub stream: bool,
    pub timeout: Duration,
    pub tries: u32,
    pub max_tokens: Option<u32>,
    pub max_tokens_field: MaxTokensField,
    pub temperature: Option<f32>,
    pub prompt_price_micros: u64,
    pub completion_price_micros: u64,
    pub record: Option<PathBuf>,
    pub replay: Option<PathBuf>,
}

impl LlmConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let max_tokens: u32 = v.parse("LLM_MAX_TOKENS", "a number")?;
        let temperature = match v.optional("LLM_TEMPERATURE") {
            None => None,
            Some(_) => Some(v.parse("LLM_TEMPERATURE", "a number")?),
        };
        Ok(Self {
            base_url: v.url("LLM_BASE_URL")?,
            api_key: v.secret("LLM_API_KEY"),
            model: v.text("LLM_MODEL").to_owned(),
            stream: v.switch("LLM_STREAM")?,
            timeout: v.seconds("LLM_TIMEOUT")?,
            tries: v.parse("LLM_TRIES", "a number")?,
            max_tokens: Some(max_tokens).filter(|tokens| *tokens > 0),
            max_tokens_field: v.choice(
                "LLM_MAX_TOKENS_FIELD",
                &[
                    ("max_tokens", MaxTokensField::MaxTokens),
                    ("max_completion_tokens", MaxTokensField::MaxCompletionTokens),
                ],
            )?,
            temperature,
            prompt_price_micros: v.price("LLM_PROMPT_PRICE")?,
            completion_price_micros: v.price("LLM_COMPLETION_PRICE")?,
            record: v.optional("LLM_RECORD").map(PathBuf::from),
            replay: v.optional("LLM_REPLAY").map(PathBuf::from),
        })
    }

    /// Whether a model is configured.
    pub const fn is_configured(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some() || self.replay.is_some()
    }
}
