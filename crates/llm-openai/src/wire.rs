//! Requests as JSON.

use patchwright_core::llm::{ChatRequest, Message, Role, Tool, ToolCall, split_calls};
use serde::Serialize;
use serde_json::Value;

use crate::dialect::Dialect;
use crate::options::MaxTokensField;

#[derive(Debug, PartialEq, Serialize)]
struct ChatMessage {
    role: &'static str,
    /// Null beside calls without words.
    content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct WireCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CalledFunction,
}

#[derive(Debug, PartialEq, Serialize)]
struct CalledFunction {
    name: String,
    /// JSON as text.
    arguments: String,
}

#[derive(Debug, Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> From<&'a Tool> for WireTool<'a> {
    fn from(tool: &'a Tool) -> Self {
        let Tool { name, description, parameters } = tool;
        Self { kind: "function", function: Function { name, description, parameters } }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ChatBody<'a> {
    model: &'a str,
    messages: Vec<ChatMessage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
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
        let tools = if dialect.has_tools { &request.tools[..] } else { &[] };
        let choice = if request.may_call { "auto" } else { "none" };
        Self {
            model,
            messages: messages_of(&request.messages, tools),
            tools: tools.iter().map(Into::into).collect(),
            tool_choice: (!tools.is_empty()).then_some(choice),
            max_tokens: in_field(MaxTokensField::MaxTokens),
            max_completion_tokens: in_field(MaxTokensField::MaxCompletionTokens),
            temperature: dialect.temperature,
            stream: dialect.is_streamed,
            stream_options: dialect.has_stream_options.then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// Translates a conversation. With tools, calls that stand in an answer become calls, and the message behind them their result.
fn messages_of(messages: &[Message], tools: &[Tool]) -> Vec<ChatMessage> {
    let mut out = Vec::with_capacity(messages.len());
    let mut waiting: Vec<String> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match message.role {
            Role::Assistant if !tools.is_empty() => {
                let (calls, words) = split_calls(&message.content);
                // A server refuses the call of a tool that it was not told of, and so every later question.
                let is_known = |call: &ToolCall| tools.iter().any(|tool| tool.name == call.name);
                if calls.is_empty() || !calls.iter().all(is_known) {
                    out.push(plain("assistant", message.content.clone()));
                    continue;
                }
                let calls: Vec<WireCall> =
                    calls.into_iter().enumerate().map(|(number, call)| wire_call(call, at, number)).collect();
                waiting = calls.iter().map(|call| call.id.clone()).collect();
                let words = Some(words.trim().to_owned()).filter(|words| !words.is_empty());
                out.push(ChatMessage { content: words, tool_calls: calls, ..plain("assistant", String::new()) });
            }
            Role::User if !waiting.is_empty() => {
                // The results of all calls are one text: it answers the first, and each call needs an answer.
                for (number, id) in waiting.drain(..).enumerate() {
                    let content = if number == 0 { message.content.clone() } else { SEE_FIRST.to_owned() };
                    out.push(ChatMessage { tool_call_id: Some(id), ..plain("tool", content) });
                }
            }
            Role::System => out.push(plain("system", message.content.clone())),
            Role::User => out.push(plain("user", message.content.clone())),
            Role::Assistant => out.push(plain("assistant", message.content.clone())),
        }
    }
    out
}

/// The answer to all calls of one message but the first.
const SEE_FIRST: &str = "answered together with the first call";

fn plain(role: &'static str, content: String) -> ChatMessage {
    ChatMessage { role, content: Some(content), tool_calls: Vec::new(), tool_call_id: None }
}

/// The id is ours, and the same in each request: some servers name no calls, and none takes the ids of another one for certain.
fn wire_call(call: ToolCall, at: usize, number: usize) -> WireCall {
    let ToolCall { name, arguments, .. } = call;
    let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
    WireCall { id: format!("call_{at}_{number}"), kind: "function", function: CalledFunction { name, arguments } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::OpenAiOptions;

    fn body(has_tools: bool, may_call: bool) -> Value {
        let call = |id: &str, path: &str| {
            ToolCall { id: id.to_owned(), name: "read".to_owned(), arguments: json!({"path": path}) }.to_text()
        };
        let messages = vec![
            Message::system("rules"),
            Message::user("the issue"),
            Message::assistant(format!("I look.\n{}\n{}", call("c1", "a.py"), call("", "b.py"))),
            Message::user("both files"),
            Message::assistant(call("c3", "c.py")),
            Message::user("c"),
        ];
        let tool = Tool { name: "read", description: "Reads a file.", parameters: json!({"type": "object"}) };
        let request = ChatRequest { tools: vec![tool], may_call, ..ChatRequest::new("test", messages) };
        let dialect = Dialect::new(&OpenAiOptions { tools: has_tools, ..OpenAiOptions::default() });
        serde_json::to_value(ChatBody::new("m", &request, &dialect)).unwrap()
    }

    #[test]
    fn calls_and_their_results_are_those_of_the_server() {
        let body = body(true, true);
        assert_eq!((&body["tool_choice"], &body["tools"][0]["function"]["name"]), (&json!("auto"), &json!("read")));
        let messages = body["messages"].as_array().unwrap();
        let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant", "tool"]);
        assert_eq!(messages[2]["content"], "I look.");
        assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], r#"{"path":"a.py"}"#);
        assert_eq!((&messages[3]["tool_call_id"], &messages[3]["content"]), (&json!("call_2_0"), &json!("both files")));
        assert_eq!(messages[4]["tool_call_id"], messages[2]["tool_calls"][1]["id"], "a call without a name gets one");
        assert_eq!(messages[5]["content"], Value::Null);
    }

    #[test]
    fn a_call_of_another_tool_stays_text_and_arguments_are_an_object() {
        let call = |name: &str| ToolCall { id: String::new(), name: name.to_owned(), arguments: Value::Null }.to_text();
        let tool = Tool { name: "read", description: "Reads a file.", parameters: json!({"type": "object"}) };
        let messages =
            [Message::assistant(call("functions.read")), Message::user("no"), Message::assistant(call("read"))];
        let found = messages_of(&messages, &[tool]);
        assert!(found[0].tool_calls.is_empty() && found[1].role == "user");
        assert_eq!(found[2].tool_calls[0].function.arguments, "{}");
    }

    #[test]
    fn a_question_without_calls_names_the_tools_too_and_a_server_without_them_reads_text() {
        assert_eq!(body(true, false)["tool_choice"], "none");
        let text = body(false, true);
        assert_eq!((&text["tools"], &text["tool_choice"]), (&Value::Null, &Value::Null));
        assert!(text["messages"][2]["content"].as_str().unwrap().contains("<tool_call>"));
        assert_eq!(text["messages"][3]["role"], "user");
    }
}
