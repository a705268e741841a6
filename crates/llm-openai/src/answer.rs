//! Reading answers, whole ones and the parts of a stream. Compatible servers leave out, null or misspell nearly every field; only
//! what is needed is read, in whatever form it comes.

use patchwright_core::llm::{LlmError, ToolCall};
use serde_json::{Value, json};

use crate::json_repair::read_object;
use crate::refusal::ServerError;
use crate::stream::DONE;
use crate::thoughts;

/// The longest part of a model's refusal that an error repeats, in characters.
const MAX_REFUSAL_CHARS: usize = 200;

/// The part of an answer that has been received.
#[derive(Debug, Default)]
pub(crate) struct PartialAnswer {
    text: String,
    pub(crate) model: String,
    refusal: String,
    /// Calls of tools, with their arguments as far as they have come.
    calls: Vec<PartialCall>,
    finish_reason: Option<String>,
    pub(crate) tokens: Option<Tokens>,
    /// Whether the server said that the stream is over.
    is_done: bool,
}

/// A call of a tool that is being received.
#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// The tokens of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The server reports an error in place of an answer, or in the middle of one.
    Server(ServerError),
    /// The answer was lost on its way: it ends before its end.
    Lost(&'static str),
    /// Asking again may help: the answer is empty, or is no chat completion.
    Again(LlmError),
    /// Asking again gives the same.
    Final(LlmError),
}

impl PartialAnswer {
    /// Reads a whole answer.
    pub(crate) fn read_whole(body: &[u8]) -> Result<Self, Problem> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let text = String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ");
            let excerpt: String = text.chars().take(200).collect();
            unusable(format!("it is not a chat completion: {error}: {excerpt}"))
        })?;
        let mut answer = Self { is_done: true, ..Self::default() };
        answer.apply(&value)?;
        if value.get("choices").is_none_or(|choices| !choices.is_array()) {
            let excerpt: String = value.to_string().chars().take(200).collect();
            return Err(unusable(format!("it is not a chat completion: {excerpt}")));
        }
        Ok(answer)
    }

    /// Applies the data of one event of a stream.
    pub(crate) fn apply_event(&mut self, data: &str) -> Result<(), Problem> {
        if data.trim() == DONE {
            self.is_done = true;
            return Ok(());
        }
        let value: Value =
            serde_json::from_str(data).map_err(|_| Problem::Lost("an event of the stream is cut off or invalid"))?;
        self.apply(&value)
    }

    fn apply(&mut self, value: &Value) -> Result<(), Problem> {
        if let Some(error) = ServerError::in_answer(value) {
            return Err(Problem::Server(error));
        }
        if let Some(model) = value["model"].as_str().filter(|model| !model.is_empty()) {
            model.clone_into(&mut self.model);
        }
        self.tokens = read_tokens(&value["usage"]).or(self.tokens);
        let Some(choice) = value["choices"].as_array().and_then(|choices| choices.first()) else { return Ok(()) };
        if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(reason.to_lowercase());
        }
        // Some servers send a whole message in the last event of a stream; what was streamed before is it already.
        let message = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        push_text(&message["content"], &mut self.text);
        if message.is_null() {
            // The form of the older completions.
            push_text(&choice["text"], &mut self.text);
        }
        push_text(&message["refusal"], &mut self.refusal);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.apply_call(call, &call["function"]);
        }
        // The form before there were several in one answer.
        if message["function_call"].is_object() {
            self.apply_call(&Value::Null, &message["function_call"]);
        }
        Ok(())
    }

    /// Adds a call, or a further part of one: streams name the call by its index, or repeat its id, or leave both out.
    fn apply_call(&mut self, call: &Value, function: &Value) {
        let (index, id) = (read_number(&call["index"]), call["id"].as_str().unwrap_or_default());
        let name = function["name"].as_str().unwrap_or_default();
        let known = self.calls.iter().position(|known| match index {
            Some(index) => known.index == Some(index) && (id.is_empty() || known.id.is_empty() || known.id == id),
            None => !id.is_empty() && known.id == id,
        });
        let is_rest = known.is_none() && index.is_none() && id.is_empty() && name.is_empty();
        let at = known.or_else(|| self.calls.len().checked_sub(1).filter(|_| is_rest)).unwrap_or_else(|| {
            self.calls.push(PartialCall { index, ..PartialCall::default() });
            self.calls.len() - 1
        });
        let known = &mut self.calls[at];
        if known.id.is_empty() {
            id.clone_into(&mut known.id);
        }
        // Some servers send the name again with each part.
        if known.name != name {
            known.name.push_str(name);
        }
        match &function["arguments"] {
            Value::String(part) => known.arguments.push_str(part),
            Value::Null => {}
            // Some servers send them parsed.
            other => known.arguments = other.to_string(),
        }
    }

    /// Returns the text of a complete answer.
    pub(crate) fn into_text(self) -> Result<(String, String, Option<Tokens>), Problem> {
        match self.finish_reason.as_deref() {
            Some("length" | "max_tokens" | "model_length") => return Err(Problem::Final(LlmError::Truncated)),
            Some("content_filter" | "safety" | "recitation" | "prohibited_content") => {
                return Err(Problem::Final(LlmError::Filtered));
            }
            // The server gave up in the middle.
            Some("error") => return Err(Problem::Lost("the server ended the answer with an error")),
            _ => {}
        }
        if !self.is_done && self.finish_reason.is_none() {
            return Err(Problem::Lost("the stream was cut off"));
        }
        let text = thoughts::strip(&self.text);
        if !self.refusal.trim().is_empty() && text.trim().is_empty() {
            let detail: String = self.refusal.trim().chars().take(MAX_REFUSAL_CHARS).collect();
            return Err(Problem::Final(LlmError::Refused { detail }));
        }
        let mut text = text.to_owned();
        for call in self.calls.into_iter().filter(|call| !call.name.is_empty()) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&call.into_call().to_text());
        }
        if text.trim().is_empty() {
            return Err(Problem::Again(LlmError::Empty));
        }
        Ok((text, self.model, self.tokens))
    }
}

impl PartialCall {
    /// Returns the call. Arguments that cannot be read are told to the model as such, by whoever reads the call.
    fn into_call(self) -> ToolCall {
        let arguments = read_object(&self.arguments).unwrap_or_else(|| json!({"unreadable": self.arguments}));
        ToolCall { id: self.id, name: self.name, arguments }
    }
}

fn unusable(detail: String) -> Problem {
    Problem::Again(LlmError::Unusable { detail })
}

/// Adds a text, or the texts of a list of parts. Parts with thoughts, images or calls are left out.
fn push_text(content: &Value, into: &mut String) {
    match content {
        Value::String(text) => into.push_str(text),
        Value::Array(parts) => {
            for part in parts {
                let is_text = part["type"].as_str().is_none_or(|kind| matches!(kind, "text" | "output_text"));
                match part {
                    Value::String(text) => into.push_str(text),
                    part if is_text => push_text(&part["text"], into),
                    _ => {}
                }
            }
        }
        // `{"text": …}` or `{"value": …}`
        Value::Object(part) => {
            for name in ["text", "value"] {
                push_text(part.get(name).unwrap_or(&Value::Null), into);
            }
        }
        _ => {}
    }
}

/// Reads the usage; `None` unless both numbers are there.
fn read_tokens(usage: &Value) -> Option<Tokens> {
    let number = |names: [&str; 2]| names.iter().find_map(|name| read_number(&usage[*name]));
    let prompt = number(["prompt_tokens", "input_tokens"])?;
    let completion = number(["completion_tokens", "output_tokens"])?;
    // Nothing costs nothing: a server that counts so does not count.
    (prompt > 0 || completion > 0).then_some(Tokens { prompt, completion })
}

/// Reads a number that may be a float or a text.
fn read_number(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => return number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    whole(number)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn whole(number: f64) -> Option<u64> {
    (0.0..1e15).contains(&number).then_some(number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a whole answer: its text, or a word for the problem.
    fn whole(body: &Value) -> Result<String, String> {
        PartialAnswer::read_whole(body.to_string().as_bytes())
            .and_then(PartialAnswer::into_text)
            .map(|(text, ..)| text)
            .map_err(|problem| word(&problem))
    }

    fn streamed(events: &[&str]) -> Result<String, String> {
        let mut answer = PartialAnswer::default();
        let applied = events.iter().try_for_each(|event| answer.apply_event(event));
        applied.and_then(|()| answer.into_text()).map(|(text, ..)| text).map_err(|problem| word(&problem))
    }

    fn word(problem: &Problem) -> String {
        match problem {
            Problem::Server(error) => format!("server: {}", error.message),
            Problem::Lost(detail) => format!("lost: {detail}"),
            Problem::Again(error) => format!("again: {error}"),
            Problem::Final(error) => format!("final: {error}"),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the callers write literals")]
    fn answer(message: Value, finish: Value) -> Value {
        json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
    }

    #[test]
    fn fault_f_what_is_needed_is_read_in_every_form_that_servers_send() {
        let stop = || json!("stop");
        for (name, body) in [
            ("plain", answer(json!({"role": "assistant", "content": "yes"}), stop())),
            ("no finish reason", answer(json!({"content": "yes"}), Value::Null)),
            ("unknown finish reason", answer(json!({"content": "yes"}), json!("eos_token"))),
            ("finish reason in capitals", answer(json!({"content": "yes"}), json!("STOP"))),
            ("an empty refusal", answer(json!({"content": "yes", "refusal": ""}), stop())),
            ("a null refusal", answer(json!({"content": "yes", "refusal": null}), stop())),
            ("thoughts in a field", answer(json!({"content": "yes", "reasoning_content": "hm"}), stop())),
            ("thoughts in the text", answer(json!({"content": "<think>{no}</think>yes"}), stop())),
            (
                "parts",
                answer(json!({"content": [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]}), stop()),
            ),
            (
                "parts with thoughts",
                answer(
                    json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                                       {"type": "text", "text": "yes"}]}),
                    stop(),
                ),
            ),
            ("parts of plain texts", answer(json!({"content": ["y", "es"]}), stop())),
            ("a text in an object", answer(json!({"content": {"text": "yes"}}), stop())),
            ("an empty list of calls", answer(json!({"content": "yes", "tool_calls": []}), stop())),
            ("older completions", json!({"choices": [{"text": "yes", "finish_reason": "stop"}]})),
            ("a null error", json!({"error": null, "choices": [{"message": {"content": "yes"}}]})),
            (
                "null model and usage",
                json!({"model": null, "usage": null, "choices": [{"message": {"content": "yes"}}]}),
            ),
            (
                "floats in the usage",
                json!({"usage": {"prompt_tokens": 1.0, "completion_tokens": 2.5}, "choices": [{"message": {"content": "yes"}}]}),
            ),
            ("a delta in a whole answer", json!({"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]})),
            (
                "odd fields",
                json!({"created": "now", "id": 7, "choices": [{"index": "0", "logprobs": 3, "message": {"content": "yes"}}], "x": {}}),
            ),
            ("several choices", json!({"choices": [{"message": {"content": "yes"}}, {"message": {"content": "no"}}]})),
        ] {
            assert_eq!(whole(&body).as_deref(), Ok("yes"), "{name}");
        }
    }

    #[test]
    fn fault_f_what_is_no_answer_is_told_apart() {
        let content = |content: Value, finish: &str| answer(json!({"content": content}), json!(finish));
        for (name, body, wanted) in [
            ("empty", content(json!(""), "stop"), "again: the model's answer cannot be used: it is empty"),
            ("blank", content(json!(" \n"), "stop"), "again: the model's answer cannot be used: it is empty"),
            ("null", content(Value::Null, "stop"), "again: the model's answer cannot be used: it is empty"),
            ("calls only", content(Value::Null, "tool_calls"), "again: the model's answer cannot be used: it is empty"),
            (
                "thoughts only",
                content(json!("<think>hm"), "stop"),
                "again: the model's answer cannot be used: it is empty",
            ),
            ("no choices", json!({"choices": []}), "again: the model's answer cannot be used: it is empty"),
            ("cut off", content(json!("half"), "length"), "final: the model's answer was cut off"),
            ("cut off, another word", content(json!("half"), "max_tokens"), "final: the model's answer was cut off"),
            ("filtered", content(json!(""), "content_filter"), "final: the model server's content filter"),
            (
                "refused",
                answer(json!({"content": null, "refusal": "I cannot"}), json!("stop")),
                "final: the model refused to answer: I cannot",
            ),
            ("ended with an error", content(json!("half"), "error"), "lost: the server ended the answer with an error"),
            (
                "another JSON",
                json!({"hello": 1}),
                "again: the model's answer cannot be used: it is not a chat completion",
            ),
            (
                "null choices",
                json!({"choices": null}),
                "again: the model's answer cannot be used: it is not a chat completion",
            ),
            ("an error in a 200", json!({"error": {"message": "overloaded", "code": 529}}), "server: overloaded"),
            ("an error as a text", json!({"error": "no GPU"}), "server: no GPU"),
            ("an error beside choices", json!({"choices": [], "error": {"message": "late"}}), "server: late"),
        ] {
            let found = whole(&body).unwrap_err();
            assert!(found.starts_with(wanted), "{name}: {found}");
        }
        for body in ["", "<html>502</html>", "{\"choices\": [", "null"] {
            let found = PartialAnswer::read_whole(body.as_bytes()).unwrap_err();
            assert!(
                word(&found).starts_with("again: the model's answer cannot be used: it is not a chat completion"),
                "{body}"
            );
        }
    }

    #[test]
    fn fault_f_a_stream_is_whole_or_an_error() {
        const PIECE: &str = r#"{"choices":[{"delta":{"content":"ye"}}]}"#;
        const SECOND: &str = r#"{"choices":[{"delta":{"content":"s"},"finish_reason":null}]}"#;
        const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        for (name, events) in [
            ("with its end", vec![PIECE, SECOND, STOP, "[DONE]"]),
            ("without a finish reason", vec![PIECE, SECOND, "[DONE]"]),
            ("without [DONE]", vec![PIECE, SECOND, STOP]),
            (
                "a usage with null choices",
                vec![PIECE, SECOND, STOP, r#"{"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":1}}"#],
            ),
            (
                "a usage with no choices",
                vec![
                    PIECE,
                    SECOND,
                    STOP,
                    r#"{"choices":[],"usage":{"prompt_tokens":"3","completion_tokens":1}}"#,
                    "[DONE]",
                ],
            ),
            ("a null delta", vec![PIECE, SECOND, r#"{"choices":[{"delta":null,"finish_reason":"stop"}]}"#, "[DONE]"]),
            (
                "thoughts in a field",
                vec![r#"{"choices":[{"delta":{"reasoning_content":"hm","content":null}}]}"#, PIECE, SECOND, STOP],
            ),
            ("a role first", vec![r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, PIECE, SECOND, STOP]),
            ("an empty object first", vec!["{}", PIECE, SECOND, STOP]),
            (
                "Azure's filter results first",
                vec![r#"{"choices":[],"prompt_filter_results":[{}]}"#, PIECE, SECOND, STOP],
            ),
        ] {
            assert_eq!(streamed(&events).as_deref(), Ok("yes"), "{name}");
        }
        for (name, events, wanted) in [
            ("cut by the connection", vec![PIECE, SECOND], "lost: the stream was cut off"),
            ("nothing", vec![], "lost: the stream was cut off"),
            ("empty", vec![STOP, "[DONE]"], "again: the model's answer cannot be used: it is empty"),
            ("half an event", vec![PIECE, "{\"choices\":[{"], "lost: an event of the stream is cut off or invalid"),
            (
                "an error in the middle",
                vec![PIECE, r#"{"error":{"message":"Provider disconnected","code":502}}"#, "[DONE]"],
                "server: Provider disconnected",
            ),
            (
                "an error in the choice",
                vec![PIECE, r#"{"choices":[{"error":{"message":"gone"},"finish_reason":"error"}]}"#],
                "server: gone",
            ),
            (
                "the limit",
                vec![PIECE, r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#, "[DONE]"],
                "final: the model's answer was cut off",
            ),
            (
                "a refusal in pieces",
                vec![
                    r#"{"choices":[{"delta":{"refusal":"I can"}}]}"#,
                    r#"{"choices":[{"delta":{"refusal":"not"},"finish_reason":"stop"}]}"#,
                ],
                "final: the model refused to answer: I cannot",
            ),
        ] {
            let found = streamed(&events).unwrap_err();
            assert!(found.starts_with(wanted), "{name}: {found}");
        }
    }

    #[test]
    fn a_usage_is_read_where_both_numbers_are_there() {
        let of = |usage: Value| read_tokens(&usage).map(|tokens| (tokens.prompt, tokens.completion));
        assert_eq!(of(json!({"prompt_tokens": 10, "completion_tokens": 5})), Some((10, 5)));
        assert_eq!(of(json!({"prompt_tokens": "10", "completion_tokens": 5.0})), Some((10, 5)));
        assert_eq!(of(json!({"input_tokens": 10, "output_tokens": 5})), Some((10, 5)));
        for usage in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": null, "completion_tokens": 5}),
            json!({"prompt_tokens": -1, "completion_tokens": 5}),
            json!({"prompt_tokens": 0, "completion_tokens": 0}),
        ] {
            assert_eq!(of(usage.clone()), None, "{usage}");
        }
    }

    #[test]
    fn calls_of_tools_are_read_whole_and_in_parts() {
        let call =
            |name: &str, arguments: &Value| json!({"id": name, "function": {"name": name, "arguments": arguments}});
        let calls = json!([call("read", &json!("{\"path\": \"a.py\"}")), call("search", &json!({"pattern": "x"}))]);
        let body =
            json!({"choices": [{"message": {"content": null, "tool_calls": calls}, "finish_reason": "tool_calls"}]});
        let text = whole(&body).unwrap();
        let (calls, rest) = patchwright_core::llm::split_calls(&text);
        assert_eq!((calls.len(), rest.trim()), (2, ""));
        assert_eq!((calls[0].id.as_str(), &calls[0].arguments), ("read", &json!({"path": "a.py"})));
        assert_eq!(calls[1].arguments, json!({"pattern": "x"}));
        let old = json!({"choices": [{"message": {"function_call": {"name": "finish", "arguments": "{}"}}, "finish_reason": "function_call"}]});
        assert!(whole(&old).unwrap().contains("\"name\":\"finish\""));
    }

    #[test]
    fn parallel_calls_of_a_stream_are_put_together() {
        let part = |value: Value| json!({"choices": [{"delta": {"tool_calls": [value]}}]}).to_string();
        let events = [
            json!({"choices": [{"delta": {"role": "assistant", "content": "I look."}}]}).to_string(),
            part(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}})),
            part(json!({"index": 0, "function": {"arguments": "{\"path\": \"a"}})),
            part(json!({"index": 1, "id": "b", "function": {"name": "read", "arguments": "{\"path\": \"b.py\""}})),
            part(json!({"index": 0, "function": {"arguments": ".py\"}"}})),
            json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}).to_string(),
        ];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let (calls, rest) = patchwright_core::llm::split_calls(&streamed(&events).unwrap());
        let paths: Vec<&Value> = calls.iter().map(|call| &call.arguments["path"]).collect();
        assert_eq!(
            (paths, rest.trim()),
            (vec![&json!("a.py"), &json!("b.py")], "I look."),
            "an end that is missing is added"
        );
    }
}
