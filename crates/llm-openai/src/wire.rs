//! Requests as JSON.

use patchwright_core::llm::{ChatRequest, Message, Role};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::options::MaxTokensField;

#[derive(Debug, Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> From<&'a Message> for ChatMessage<'a> {
    fn from(message: &'a Message) -> Self {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        Self { role, content: &message.content }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ChatBody<'a> {
    model: &'a str,
    messages: Vec<ChatMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> ChatBody<'a> {
    pub(crate) fn new(model: &'a str, request: &'a ChatRequest, dialect: &Dialect) -> Self {
        let limit = dialect.limit(request.max_tokens);
        let in_field = |field| limit.filter(|_| dialect.max_tokens_field == Some(field));
        Self {
            model,
            messages: request.messages.iter().map(Into::into).collect(),
            max_tokens: in_field(MaxTokensField::MaxTokens),
            max_completion_tokens: in_field(MaxTokensField::MaxCompletionTokens),
            temperature: dialect.temperature,
            stream: dialect.is_streamed,
            stream_options: dialect.has_stream_options.then_some(StreamOptions { include_usage: true }),
        }
    }
}
