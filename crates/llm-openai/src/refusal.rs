//! What servers mean with an error: their words, by what can be done about it.

use std::time::Duration;

use patchwright_core::llm::LlmError;
use serde_json::Value;

/// An error of a server, normalized.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) message: String,
    kind: String,
    code: String,
    /// The parameter that it is about.
    parameter: String,
}

/// What an error asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A shorter prompt.
    PromptTooLong,
    /// A shorter limit on the answer: of so many tokens for every request, or shorter because of this prompt.
    AnswerLimit(Option<u32>),
    /// A request without this parameter, or with another in its place.
    Parameter(String),
    /// Another key.
    Key,
    /// Another model, or another address.
    UnknownModel,
    /// An account with money or quota left.
    Quota,
    /// The same request later: the server has too much to do, or limits the rate.
    Overload,
    /// Nothing that is known here.
    Unknown,
}

/// The parameters of our requests that a server may not know, by the words in which it says so.
const PARAMETERS: [&str; 5] = ["max_completion_tokens", "max_tokens", "temperature", "stream_options", "stream"];

/// Words for a prompt that is too long, in small letters.
const PROMPT_TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "contextwindowexceeded",
    "exceed_context_size",
    "string_above_max_length",
    "maximum context length",
    "max context length",
    "maximum model length",
    "context length of",
    "exceeds the context length",
    "exceeds the context window",
    "exceeds the available context size",
    "exceeds the model's context",
    "context window",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "too many tokens in the prompt",
    "range of input length should be",
    "input length exceeds",
    "input token count",
    "`inputs` must have less than",
    "reduce the length of the messages",
    "reduce your message size",
    "request too large for model",
];

/// Words for a limit on the answer that is too high, in small letters.
const ANSWER_LIMIT: &[&str] = &[
    "max_tokens is too large",
    "max_completion_tokens is too large",
    "invalid max_tokens value",
    "range of max_tokens should be",
    "range of max_completion_tokens should be",
    "`max_new_tokens` must be <=",
    "maximum allowed number of output tokens",
    "completion tokens, whereas you provided",
    "maximum value for `max_tokens`",
    "max_tokens must be less than or equal to",
    "`max_tokens` must be less than or equal to",
    "max_tokens exceeds",
    "max_tokens (",
    "max_tokens must be less than",
];

/// Words for an account without money, in small letters.
const QUOTA: &[&str] = &[
    "insufficient_quota",
    "exceeded your current quota",
    "billing_hard_limit",
    "billing_not_active",
    "insufficient balance",
    "insufficient credits",
    "insufficient funds",
    "credit balance is too low",
    "credit_balance",
    "arrearage",
    "account is in good standing",
    "allocationquota",
    "free allocated quota",
    "budget has been exceeded",
    "budget_exceeded",
    "exceededbudget",
    "payment required",
];

/// Words for a wrong key, in small letters.
const KEY: &[&str] = &[
    "invalid_api_key",
    "incorrect api key",
    "invalid api key",
    "api key not valid",
    "api_key_invalid",
    "no api key",
    "missing api key",
    "authentication fails",
    "authenticationerror",
    "authentication_error",
    "user not found",
    "no auth credentials",
    "invalid token",
    "unauthorized",
];

/// Words for tools that a server or a model does not know, in small letters.
const TOOLS: &[&str] = &[
    "does not support tool",
    "not support tools",
    "support tool use",
    "tool choice requires",
    "enable-auto-tool-choice",
    "tools param requires",
    "tool_choice",
    "'tools'",
    "`tools`",
    "\"tools\"",
    "parameter: tools",
    "support function calling",
    "function calling is not",
    "tools is not supported",
    "tools are not supported",
    "tool calling is not supported",
    "tool use is not supported",
];

/// Words for a model that is not there, in small letters.
const UNKNOWN_MODEL: &[&str] = &[
    "model_not_found",
    "model not exist",
    "model does not exist",
    "not a valid model",
    "invalid model",
    "invalid_model",
    "unknown model",
    "no such model",
    "deploymentnotfound",
    "no endpoints found",
    "try pulling it first",
    "model_not_supported",
    "unsupported model",
];

impl ServerError {
    /// Reads the body of an error response.
    pub(crate) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::of(&value),
            Err(_) => Self { message: excerpt(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// Returns the error that a server reports with status 200, also in the middle of a stream.
    pub(crate) fn in_answer(value: &Value) -> Option<Self> {
        let in_choice = &value["choices"][0]["error"];
        let error = [&value["error"], in_choice].into_iter().find(|error| is_something(error));
        if error.is_some() {
            return error.map(|error| Self::of(&serde_json::json!({ "error": error })));
        }
        let is_error = value["object"] == "error" || value["type"] == "error";
        is_error.then(|| Self::of(value))
    }

    /// `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}`, `{"errors": […]}`, `[{"error": …}]`, or the fields themselves.
    fn of(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let error = match &value["error"] {
            Value::Object(_) => &value["error"],
            Value::String(text) => {
                let kind = text_of(&value["error_type"]);
                return Self { message: text.clone(), kind, ..Self::default() };
            }
            _ if is_something(&value["errors"][0]) => &value["errors"][0],
            _ => value,
        };
        let message = [&error["message"], &error["msg"], &value["detail"], &value["message"]];
        let message = message.into_iter().find(|text| is_something(text)).map(text_of).unwrap_or_default();
        let first = |names: [&str; 2]| names.iter().map(|name| text_of(&error[*name])).find(|text| !text.is_empty());
        Self {
            message: if message.is_empty() { excerpt(&value.to_string()) } else { message },
            kind: first(["type", "status"]).unwrap_or_default(),
            code: text_of(&error["code"]),
            parameter: text_of(&error["param"]),
        }
    }

    /// Returns what the error asks for, by its words first: servers choose odd statuses.
    pub(crate) fn refusal(&self, status: u16) -> Refusal {
        let all = format!("{} {} {}", self.message, self.kind, self.code).to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| all.contains(word));
        // Some servers put the real status into the code.
        let status = self.code.parse().ok().filter(|code| (400..600).contains(code)).unwrap_or(status);
        if matches!(status, 502..=504) {
            return Refusal::Overload;
        }
        if let [most, prompt, _] = numbers(&self.message)[..]
            && all.contains("`inputs` tokens + `max_new_tokens`")
        {
            return if prompt < most { Refusal::AnswerLimit(None) } else { Refusal::PromptTooLong };
        }
        if says(ANSWER_LIMIT) {
            return Refusal::AnswerLimit(self.most_tokens());
        }
        if says(PROMPT_TOO_LONG) {
            return if self.fits_without_answer() { Refusal::AnswerLimit(None) } else { Refusal::PromptTooLong };
        }
        if says(QUOTA) || status == 402 {
            return Refusal::Quota;
        }
        if status == 401 || says(KEY) {
            return Refusal::Key;
        }
        if says(TOOLS) && (400..502).contains(&status) {
            return Refusal::Parameter("tools".to_owned());
        }
        if says(UNKNOWN_MODEL)
            || (all.contains("model") && (all.contains("not found") || all.contains("does not exist")))
        {
            return Refusal::UnknownModel;
        }
        if let Some(parameter) = self.refused_parameter(&all, status) {
            return Refusal::Parameter(parameter);
        }
        match status {
            // Without a word about a model, the address is wrong.
            404 => Refusal::UnknownModel,
            408 | 425 | 429 | 500.. => Refusal::Overload,
            _ if all.contains("overloaded") || all.contains("try again later") => Refusal::Overload,
            _ => Refusal::Unknown,
        }
    }

    fn refused_parameter(&self, all: &str, status: u16) -> Option<String> {
        const WORDS: [&str; 12] = [
            "unsupported",
            "not supported",
            "unknown",
            "unrecognized",
            "unexpected",
            "not permitted",
            "forbidden",
            "does not support",
            "not allowed",
            "invalid",
            "only the default",
            "unknown_parameter",
        ];
        // What fails in a server may be told in any words: there a name counts only if it is marked as one.
        let needs_mark = match status {
            400 | 422 => false,
            500 | 501 => true,
            _ => return None,
        };
        if !WORDS.iter().any(|word| all.contains(word)) {
            return None;
        }
        let named = PARAMETERS.iter().find(|name| self.parameter.ends_with(*name));
        // The one that is named first: some name the one to use instead behind it.
        let mentioned = || {
            PARAMETERS
                .iter()
                .filter_map(|name| Some((place_of(name, all, needs_mark)?, name)))
                .min_by_key(|(at, name)| (*at, std::cmp::Reverse(name.len())))
        };
        named.or_else(|| mentioned().map(|(_, name)| name)).map(|name| (*name).to_owned())
    }

    /// Returns the largest limit that the message names, which is less than the one that was asked for: all but the largest of
    /// its numbers.
    fn most_tokens(&self) -> Option<u32> {
        let mut numbers = numbers(&self.message);
        numbers.retain(|number| *number >= 16);
        let largest = numbers.iter().copied().max()?;
        let allowed = numbers.iter().copied().filter(|number| *number < largest).max();
        // With one number, it is the limit itself.
        allowed.or(Some(largest)).and_then(|number| u32::try_from(number).ok())
    }

    /// Returns whether the prompt alone fits: `maximum context length is 8192 tokens … (500 in the messages, 8000 in the
    /// completion)`.
    fn fits_without_answer(&self) -> bool {
        const AFTER_PROMPT: [&str; 3] = [" in the messages", " input tokens", " of text input"];
        let number_before = |word: &str| {
            let end = self.message.find(word)?;
            numbers(&self.message[..end]).last().copied()
        };
        let prompt = AFTER_PROMPT.iter().find_map(|word| number_before(word));
        let maximum = self.message.find("maximum context length").map(|at| &self.message[at..]);
        let maximum = maximum.and_then(|rest| numbers(rest).first().copied());
        matches!((maximum, prompt), (Some(most), Some(prompt)) if prompt < most)
    }
}

impl Refusal {
    /// Returns the error for the caller.
    pub(crate) fn into_error(self, url: &str, detail: String, after: Option<Duration>) -> LlmError {
        match self {
            Self::PromptTooLong => LlmError::ContextTooLong { detail },
            Self::AnswerLimit(most) => LlmError::AnswerLimit { detail, most },
            Self::Parameter(parameter) => LlmError::Parameter { setting: setting_of(&parameter), parameter, detail },
            Self::UnknownModel => LlmError::UnknownModel { detail },
            Self::Quota => LlmError::QuotaExhausted { detail },
            Self::Overload => LlmError::Unavailable { url: url.to_owned(), detail, after },
            Self::Key | Self::Unknown => LlmError::Denied { detail },
        }
    }
}

/// Returns where a text names a parameter: the whole word, in quotes if `needs_mark`.
fn place_of(name: &str, text: &str, needs_mark: bool) -> Option<usize> {
    let is_quote = |c: Option<char>| c.is_some_and(|c| matches!(c, '\'' | '"' | '`'));
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).map(|(at, _)| at).find(|at| {
        let (before, after) = (text[..*at].chars().next_back(), text[at + name.len()..].chars().next());
        if needs_mark { is_quote(before) && is_quote(after) } else { !is_part(before) && !is_part(after) }
    })
}

fn setting_of(parameter: &str) -> &'static str {
    match parameter {
        "temperature" => "LLM_TEMPERATURE",
        "stream" | "stream_options" => "LLM_STREAM",
        "tools" => "LLM_TOOLS",
        _ => "LLM_MAX_TOKENS_FIELD",
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}

/// Returns the numbers in a text. Separators of thousands are left out.
fn numbers(text: &str) -> Vec<u64> {
    let mut found = Vec::new();
    let mut digits = String::new();
    let mut previous = ' ';
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
        } else if !((c == ',' || c == '_') && previous.is_ascii_digit()) {
            found.extend(digits.parse::<u64>().ok());
            digits.clear();
        }
        previous = c;
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, body: &Value) -> Refusal {
        ServerError::read(body.to_string().as_bytes()).refusal(status)
    }

    /// Reads the word for a refusal: its name, and what it is about.
    fn named(text: &str) -> Refusal {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("PromptTooLong", _) => Refusal::PromptTooLong,
            ("AnswerLimit", most) => Refusal::AnswerLimit(most.parse().ok()),
            ("Parameter", name) => Refusal::Parameter(name.to_owned()),
            ("Key", _) => Refusal::Key,
            ("UnknownModel", _) => Refusal::UnknownModel,
            ("Quota", _) => Refusal::Quota,
            ("Overload", _) => Refusal::Overload,
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn fault_f_the_refusals_of_real_servers_are_told_apart() {
        let table = include_str!("refusals.jsonl");
        assert!(table.lines().count() > 50);
        for line in table.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let status = u16::try_from(entry["status"].as_u64().unwrap()).unwrap();
            assert_eq!(refusal(status, &entry["body"]), named(entry["wanted"].as_str().unwrap()), "{line}");
        }
    }

    #[test]
    fn what_is_no_json_and_what_nobody_knows_is_judged_by_its_status() {
        let page = ServerError::read(b"<html><h1>404 Not Found</h1></html>");
        assert_eq!(page.refusal(404), Refusal::UnknownModel);
        assert_eq!(ServerError::read(b"upstream connect error").refusal(503), Refusal::Overload);
        assert_eq!(refusal(403, &json!({"error": {"message": "Country not supported"}})), Refusal::Unknown);
        assert_eq!(refusal(418, &json!({})), Refusal::Unknown);
    }

    #[test]
    fn an_error_names_the_setting_that_mends_it() {
        let words = |refusal: Refusal| refusal.into_error("http://h", "status 400: x".to_owned(), None).to_string();
        for (refusal, setting) in [
            (Refusal::PromptTooLong, "LLM_MODEL"),
            (Refusal::AnswerLimit(None), "LLM_MAX_TOKENS"),
            (Refusal::Parameter("temperature".to_owned()), "LLM_TEMPERATURE"),
            (Refusal::Parameter("max_tokens".to_owned()), "LLM_MAX_TOKENS_FIELD"),
            (Refusal::Parameter("stream_options".to_owned()), "LLM_STREAM"),
            (Refusal::Key, "LLM_API_KEY"),
            (Refusal::UnknownModel, "LLM_BASE_URL"),
        ] {
            let words = words(refusal);
            assert!(words.contains(setting) && words.contains("status 400: x"), "{words}");
        }
    }
}
