//! The model, and the proxy through which external programs reach it.

use std::sync::Arc;

use patchwright_core::Redactor;
use patchwright_core::llm::Llm;
use patchwright_core::model_proxy::ModelProxy;
use patchwright_http::HttpClient;
use patchwright_llm_openai::{Fallback, OpenAi, OpenAiOptions, Recorded, Recording};
use patchwright_node::{LoopbackModelProxy, ModelProxyOptions};

use super::ComposeError;
use crate::config::Config;
use crate::demo;

/// Returns the model: that of a command, or else the configured one, if there is one.
pub(crate) fn llm(
    config: &Config,
    http: &HttpClient,
    redactor: &Redactor,
    fixed: Option<&Arc<dyn Llm>>,
) -> Result<Option<Arc<dyn Llm>>, ComposeError> {
    if let Some(model) = fixed {
        return Ok(Some(Arc::clone(model)));
    }
    if let Some(path) = &config.llm.replay {
        return Ok(Some(Arc::new(Recorded::open(format!("{} (recorded)", config.llm.model), path)?)));
    }
    if !config.llm.is_configured() {
        let demo = config.llm.demo.then(|| Recorded::parse(demo::MODEL, demo::RECORDED)).transpose()?;
        return Ok(demo.map(|model| Arc::new(model.repeated()) as Arc<dyn Llm>));
    }
    let defaults = OpenAiOptions::default();
    let options = OpenAiOptions {
        base_url: config.llm.base_url.clone().unwrap_or(defaults.base_url),
        api_key: config.llm.api_key.clone(),
        model: config.llm.model.clone(),
        max_tokens_field: config.llm.max_tokens_field,
        temperature: config.llm.temperature,
        stream: config.llm.stream,
        tools: config.llm.tools,
        first_token_timeout: config.llm.timeout,
        idle_timeout: config.llm.idle_timeout,
        total_timeout: config.llm.total_timeout,
        max_attempts: config.llm.tries,
        price: config.llm.price,
        prices: config.llm.prices.clone(),
        initial_backoff: defaults.initial_backoff,
    };
    let others = config.llm.fallbacks.iter().map(|fallback| {
        // The key of one server is no business of another.
        let (base_url, api_key) = match &fallback.base_url {
            Some(address) => (address.clone(), config.llm.fallback_api_key.clone()),
            None => (options.base_url.clone(), options.api_key.clone()),
        };
        let options = OpenAiOptions { base_url, api_key, model: fallback.model.clone(), ..options.clone() };
        Arc::new(OpenAi::new(http.clone(), options)) as Arc<dyn Llm>
    });
    let others: Vec<_> = others.collect();
    let server = Fallback::new(Arc::new(OpenAi::new(http.clone(), options)), others);
    Ok(Some(match &config.llm.record {
        Some(path) => Arc::new(Recording::new(server, redactor.clone(), path)?),
        None => Arc::new(server),
    }))
}

/// Returns the model for external programs, if one is configured.
pub(crate) fn model_proxy(config: &Config, http: &HttpClient) -> Option<Arc<dyn ModelProxy>> {
    if config.llm.replay.is_some() || !config.llm.is_configured() {
        return None;
    }
    let options = ModelProxyOptions {
        base_url: config.llm.base_url.clone().unwrap_or_else(|| OpenAiOptions::default().base_url),
        api_key: config.llm.api_key.clone(),
        model: config.llm.model.clone(),
        timeout: config.llm.timeout,
        prompt_price_micros: config.llm.price.prompt_micros,
        completion_price_micros: config.llm.price.completion_micros,
    };
    Some(Arc::new(LoopbackModelProxy::new(http.clone(), options)))
}
