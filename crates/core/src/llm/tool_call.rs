//! Calls of tools, as text of a conversation.
//!
//! A conversation is text, so that it reads the same whether a server knows tools or not. A call stands in an answer as
//! `<tool_call>{"id": …, "name": …, "arguments": {…}}</tool_call>`, which is also how models write calls that were never told of
//! another way. A client of a server with tools of its own translates both ways.

use serde_json::{Value, json};

const BEGIN: &str = "<tool_call>";
const END: &str = "</tool_call>";

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What a call names, in letters, digits and `_`.
    pub name: &'static str,
    /// When to call it and what it returns, for the model.
    pub description: &'static str,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the server calls it; it may be empty.
    pub id: String,
    /// The name of a tool, as the model gave it: there may be none of it.
    pub name: String,
    /// What was given, mostly an object; it is not checked against the schema of the tool.
    pub arguments: Value,
}

impl ToolCall {
    /// Returns the call as text.
    pub fn to_text(&self) -> String {
        let call = json!({"id": self.id, "name": self.name, "arguments": self.arguments}).to_string();
        // JSON has another spelling for what would end the text.
        format!("{BEGIN}{}{END}", call.replace("</", "<\\/"))
    }
}

/// Returns the calls in a text, and the text without them. What looks like a call and is none stays in the text.
pub fn split_calls(text: &str) -> (Vec<ToolCall>, String) {
    let (mut calls, mut rest, mut left) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = left.split_once(BEGIN) {
        let Some((body, behind)) = after.split_once(END) else { break };
        rest.push_str(before);
        match read(body) {
            Some(call) => calls.push(call),
            None => rest.push_str(&left[before.len()..left.len() - behind.len()]),
        }
        left = behind;
    }
    rest.push_str(left);
    (calls, rest)
}

fn read(body: &str) -> Option<ToolCall> {
    let call: Value = serde_json::from_str(body.trim()).ok()?;
    let text = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let arguments = call.get("arguments").or_else(|| call.get("parameters")).cloned().unwrap_or(Value::Null);
    // Some models write the arguments as a text with JSON in it.
    let arguments = match &arguments {
        Value::String(text) => serde_json::from_str(text).unwrap_or(arguments),
        _ => arguments,
    };
    let name = text("name");
    (!name.is_empty()).then(|| ToolCall { id: text("id"), name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_back_whatever_its_arguments_are() {
        let call = |text: &str| ToolCall {
            id: "c1".to_owned(),
            name: "create".to_owned(),
            arguments: json!({"path": "a.html", "text": text}),
        };
        for text in ["x", "</tool_call>", "{\"a\": {}}", "<tool_call>{}</tool_call>\n", "é 修"] {
            let given = call(text);
            let answer = format!("Now this.\n{}\n{}", given.to_text(), call("y").to_text());
            let (calls, rest) = split_calls(&answer);
            assert_eq!(calls, [given, call("y")]);
            assert_eq!(rest, "Now this.\n\n");
        }
    }

    #[test]
    fn what_is_no_call_stays() {
        for text in
            ["<tool_call>read a.py</tool_call>", "<tool_call>{\"name\": \"x\"", "no call", "<tool_call>{}</tool_call>"]
        {
            assert_eq!(split_calls(text), (Vec::new(), text.to_owned()));
        }
        let (calls, _) = split_calls(r#"<tool_call>{"name": "read", "arguments": "{\"path\": \"a.py\"}"}</tool_call>"#);
        assert_eq!(calls[0].arguments, json!({"path": "a.py"}));
    }
}
