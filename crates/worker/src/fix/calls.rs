//! The calls of tools in a model's answer.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::actions::{Action, fence_marks};

/// Reads the calls that some models write as text: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.
pub(super) fn calls_in(answer: &str) -> Vec<Action> {
    static CALL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)<tool_call>\s*(\{.*?\})\s*</tool_call>").expect("the expression is valid"));
    let read = |found: regex::Captures<'_>| {
        let call: Value = serde_json::from_str(&found[1]).ok()?;
        let arguments = call.get("arguments").or_else(|| call.get("parameters"))?;
        action_of_call(call.get("name")?.as_str()?, arguments).ok()
    };
    CALL.captures_iter(answer).filter_map(read).collect()
}

/// Reads a call of a tool.
///
/// # Errors
/// A message for the model: an unknown name, or an argument that is missing.
fn action_of_call(name: &str, arguments: &Value) -> Result<Action, String> {
    let text = |keys: &[&str]| {
        let value = keys.iter().find_map(|key| arguments.get(*key)).unwrap_or(&Value::Null);
        match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    };
    let required = |keys: &[&str]| {
        let found = text(keys);
        if found.is_empty() { Err(format!("`{name}` has no `{}`", keys[0])) } else { Ok(found) }
    };
    let path = || required(&["path", "file", "file_path"]);
    Ok(match name {
        "search" => Action::Search { pattern: required(&["pattern", "query"])?, path: text(&["path"]) },
        "read" => Action::Read { path: path()?, part: text(&["part", "lines", "symbol"]) },
        "outline" => Action::Outline { path: text(&["path"]) },
        "references" => Action::References { symbol: required(&["symbol", "name"])? },
        "edit" => Action::Edit { path: Some(path()?), body: required(&["blocks", "body", "text"])? },
        "create" => Action::Create { path: path()?, body: fence(&required(&["text", "content", "body"])?) },
        "delete" => Action::Delete { path: path()? },
        "rename" => Action::Rename { from: required(&["from"])?, to: required(&["to"])? },
        "run_tests" => {
            let targets = match arguments.get("targets").or_else(|| arguments.get("files")) {
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            Action::RunTests { targets }
        }
        "run" => Action::Run { script: required(&["script", "code"])?, language: text(&["language"]) },
        "finish" => Action::Finish { summary: text(&["summary"]) },
        other => return Err(format!("there is no tool `{other}`")),
    })
}

/// Puts a text into a fence that is longer than those in it.
fn fence(text: &str) -> String {
    let longest = text.lines().map(fence_marks).max().unwrap_or(0);
    let mark = "`".repeat((longest + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{mark}\n{text}{end}{mark}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_tools_are_actions() {
        let call = |name: &str, arguments: &str| action_of_call(name, &serde_json::from_str(arguments).unwrap());
        assert_eq!(
            call("create", r#"{"path": "a.md", "text": "```\nx\n```"}"#).unwrap(),
            Action::Create { path: "a.md".into(), body: "````\n```\nx\n```\n````\n".into() }
        );
        assert_eq!(call("run_tests", r#"{"targets": ["a", "b"]}"#).unwrap().name(), "run_tests a b");
        assert!(call("edit", r#"{"path": "a.py"}"#).unwrap_err().contains("`blocks`"));
        assert!(call("sudo", "{}").unwrap_err().contains("no tool `sudo`"));
    }
}
