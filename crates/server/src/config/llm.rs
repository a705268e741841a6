//! The settings of the model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_llm_openai::{MaxTokensField, Price};

use super::{ConfigError, Values};

/// A model that is asked where the first one cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackModel {
    /// Its name.
    pub model: String,
    /// The address of its server, if it is another one.
    pub base_url: Option<String>,
}

impl FallbackModel {
    /// Parses `MODEL` or `MODEL@ADDRESS`. Names of models may have an `@`.
    fn parse(text: &str) -> Option<Self> {
        let at = text.find("@http://").or_else(|| text.find("@https://"));
        let (model, base_url) = at.map_or((text, None), |at| (&text[..at], Some(text[at + 1..].to_owned())));
        let is_address = base_url.as_deref().is_none_or(|address| url::Url::parse(address).is_ok());
        (!model.is_empty() && is_address).then(|| Self { model: model.to_owned(), base_url })
    }
}

/// Parses `MODEL=PROMPT/COMPLETION`.
fn parse_price(text: &str) -> Option<(String, Price)> {
    let (model, price) = text.rsplit_once('=')?;
    let (prompt, completion) = price.split_once('/')?;
    let micros = |text: &str| Some(super::values::price_of(text.trim().parse().ok()?)).flatten();
    let price = Price { prompt_micros: micros(prompt)?, completion_micros: micros(completion)? };
    (!model.is_empty()).then(|| (model.to_owned(), price))
}

/// The settings of the model.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct LlmConfig {
    pub base_url: Option<String>,
    pub api_key: Option<Secret>,
    pub model: String,
    pub stream: bool,
    /// Whether the server is told of the tools.
    pub tools: bool,
    pub timeout: Duration,
    pub idle_timeout: Duration,
    pub total_timeout: Duration,
    pub fallbacks: Vec<FallbackModel>,
    pub fallback_api_key: Option<Secret>,
    pub tries: u32,
    pub max_tokens: Option<u32>,
    pub max_tokens_field: MaxTokensField,
    pub temperature: Option<f32>,
    pub price: Price,
    pub prices: BTreeMap<String, Price>,
    pub record: Option<PathBuf>,
    pub replay: Option<PathBuf>,
    /// Whether the recorded answers of the demo repository stand in for a model.
    pub demo: bool,
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
            tools: v.choice("LLM_TOOLS", &[("auto", true), ("off", false)])?,
            timeout: v.seconds("LLM_TIMEOUT")?,
            idle_timeout: v.seconds("LLM_IDLE_TIMEOUT")?,
            total_timeout: v.seconds("LLM_TOTAL_TIMEOUT")?,
            fallbacks: v.list_of("LLM_FALLBACKS", "`MODEL` or `MODEL@ADDRESS`", FallbackModel::parse)?,
            fallback_api_key: v.secret("LLM_FALLBACK_API_KEY"),
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
            price: Price {
                prompt_micros: v.price("LLM_PROMPT_PRICE")?,
                completion_micros: v.price("LLM_COMPLETION_PRICE")?,
            },
            prices: v.list_of("LLM_PRICES", "`MODEL=PROMPT/COMPLETION`", parse_price)?.into_iter().collect(),
            record: v.optional("LLM_RECORD").map(PathBuf::from),
            replay: v.optional("LLM_REPLAY").map(PathBuf::from),
            demo: v.switch("DEMO_MODEL")?,
        })
    }

    /// Whether a model is configured.
    pub const fn is_configured(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some() || self.replay.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallbacks_and_prices_are_lists() {
        let fallback = |text| FallbackModel::parse(text).map(|found| (found.model, found.base_url));
        assert_eq!(fallback("small"), Some(("small".to_owned(), None)));
        let elsewhere = Some(("a@b".to_owned(), Some("https://h/v1".to_owned())));
        assert_eq!(fallback("a@b@https://h/v1"), elsewhere);
        assert_eq!(fallback("@https://h"), None);
        assert_eq!(fallback("m@http://"), None);
        let price = Price { prompt_micros: 150_000, completion_micros: 600_000 };
        assert_eq!(parse_price("x=y=0.15/0.6"), Some(("x=y".to_owned(), price)));
        for wrong in ["m", "m=1", "=1/2", "m=a/b", "m=-1/2"] {
            assert_eq!(parse_price(wrong), None, "{wrong}");
        }
    }
}
