//! What a server was found to accept.

use crate::options::{MaxTokensField, OpenAiOptions};
use crate::refusal::Refusal;

/// The form of requests to one model. It changes when the server refuses a part of it, and is remembered.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a part of a request is sent")]
pub(crate) struct Dialect {
    pub(crate) max_tokens_field: Option<MaxTokensField>,
    pub(crate) temperature: Option<f32>,
    pub(crate) is_streamed: bool,
    pub(crate) has_stream_options: bool,
    pub(crate) has_tools: bool,
    /// The longest answer that the server gives.
    pub(crate) most_tokens: Option<u32>,
    /// Whether the other field was refused, too.
    has_switched_field: bool,
}

/// Without a word from the server, half of the limit is tried, but not less than this.
const MIN_ANSWER: u32 = 512;

impl Dialect {
    pub(crate) const fn new(options: &OpenAiOptions) -> Self {
        Self {
            max_tokens_field: Some(options.max_tokens_field),
            temperature: options.temperature,
            is_streamed: options.stream,
            has_stream_options: options.stream,
            has_tools: options.tools,
            most_tokens: None,
            has_switched_field: false,
        }
    }

    /// Returns the limit on an answer, if there is one.
    pub(crate) fn limit(&self, asked: Option<u32>) -> Option<u32> {
        match (asked, self.most_tokens) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        }
    }

    /// Returns the form to try after a refusal; `None` if there is no other.
    pub(crate) fn after(mut self, refusal: &Refusal, asked: Option<u32>) -> Option<Self> {
        let before = self;
        match refusal {
            Refusal::Parameter(name) => match name.as_str() {
                "max_tokens" | "max_completion_tokens" if !self.has_switched_field => {
                    self.has_switched_field = true;
                    self.max_tokens_field = self.max_tokens_field.map(|field| match field {
                        MaxTokensField::MaxTokens => MaxTokensField::MaxCompletionTokens,
                        MaxTokensField::MaxCompletionTokens => MaxTokensField::MaxTokens,
                    });
                }
                "max_tokens" | "max_completion_tokens" => self.max_tokens_field = None,
                "temperature" => self.temperature = None,
                "stream_options" => self.has_stream_options = false,
                "tools" => self.has_tools = false,
                "stream" => (self.is_streamed, self.has_stream_options) = (false, false),
                _ => {}
            },
            Refusal::AnswerLimit(most) => {
                let now = self.limit(asked)?;
                let less = most.filter(|most| *most < now).unwrap_or(now / 2);
                self.most_tokens = (less >= MIN_ANSWER.min(now)).then_some(less).or(self.most_tokens);
            }
            _ => {}
        }
        (self != before).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Dialect {
        Dialect::new(&OpenAiOptions { stream: true, ..OpenAiOptions::default() })
    }

    fn parameter(name: &str) -> Refusal {
        Refusal::Parameter(name.to_owned())
    }

    #[test]
    fn what_a_server_refuses_is_left_out_or_replaced_until_nothing_is_left() {
        let other = dialect().after(&parameter("max_tokens"), Some(5)).unwrap();
        assert_eq!(other.max_tokens_field, Some(MaxTokensField::MaxCompletionTokens));
        let none = other.after(&parameter("max_completion_tokens"), Some(5)).unwrap();
        assert_eq!(none.max_tokens_field, None);
        assert_eq!(none.after(&parameter("max_tokens"), Some(5)), None);
        let cold = dialect().after(&parameter("temperature"), None).unwrap();
        assert_eq!((cold.temperature, cold.after(&parameter("temperature"), None)), (None, None));
        let plain = dialect().after(&parameter("stream"), None).unwrap();
        assert!(!plain.is_streamed && !plain.has_stream_options);
        let bare = dialect().after(&parameter("tools"), None).unwrap();
        assert_eq!((bare.has_tools, bare.after(&parameter("tools"), None)), (false, None));
        assert_eq!(dialect().after(&Refusal::Key, None), None);
    }

    #[test]
    fn an_answer_that_may_not_be_so_long_is_asked_for_shorter() {
        let named = dialect().after(&Refusal::AnswerLimit(Some(4096)), Some(8192)).unwrap();
        assert_eq!(
            (named.limit(Some(8192)), named.limit(Some(100)), named.limit(None)),
            (Some(4096), Some(100), Some(4096))
        );
        let guessed = dialect().after(&Refusal::AnswerLimit(None), Some(8192)).unwrap();
        assert_eq!(guessed.limit(Some(8192)), Some(4096));
        assert_eq!(dialect().after(&Refusal::AnswerLimit(None), Some(600)), None, "less is no use");
        assert_eq!(dialect().after(&Refusal::AnswerLimit(Some(5)), None), None);
    }
}
