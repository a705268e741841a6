//! The calls of tools in a model's answer.

use patchwright_core::llm::{Tool, split_calls};
use serde_json::{Value, json};

use super::actions::{Action, fence_marks};

/// Returns the tools for a fix: the actions of the text form under the same names, which also explains them. `can_run` says whether
/// tests and scripts may run.
pub(crate) fn tools(can_run: bool) -> Vec<Tool> {
    let mut tools = vec![
        tool("search", "Searches for a regular expression", &["pattern"], &["path"]),
        tool("read", "Reads lines (10-60) or a definition", &["path"], &["part"]),
        tool("outline", "Lists definitions", &["path"], &[]),
        tool("references", "Finds uses", &["symbol"], &[]),
        tool("edit", "Changes a file by SEARCH/REPLACE blocks", &["path", "blocks"], &[]),
        tool("create", "Writes a new file", &["path", "text"], &[]),
        tool("delete", "Deletes a file", &["path"], &[]),
        tool("rename", "Moves a file", &["from", "to"], &[]),
    ];
    if can_run {
        tools.push(tool("run_tests", "Runs test files, separated by spaces", &[], &["targets"]));
        tools.push(tool("run", "Runs a script without network", &["script"], &["language"]));
        tools.push(tool("reproduce", "Runs a script that fails while the fault is there", &["script"], &["language"]));
    }
    tools.push(tool("finish", "Ends the work", &[], &["summary"]));
    tools
}

fn tool(name: &'static str, description: &'static str, required: &[&'static str], optional: &[&'static str]) -> Tool {
    let texts: serde_json::Map<String, Value> =
        required.iter().chain(optional).map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    Tool { name, description, parameters: json!({"type": "object", "properties": texts, "required": required}) }
}

/// Reads the calls of tools in an answer, each as an action or a message for the model, and returns the text around them.
pub(super) fn calls_in(answer: &str) -> (Vec<Result<Action, String>>, String) {
    let (calls, words) = split_calls(answer);
    (calls.iter().map(|call| action_of_call(&call.name, &call.arguments)).collect(), words)
}

/// Reads a call of a tool.
///
/// # Errors
/// A message for the model: an unknown name, or an argument that is missing.
fn action_of_call(name: &str, arguments: &Value) -> Result<Action, String> {
    if arguments.get("unreadable").is_some() {
        return Err(format!("the arguments of `{name}` are not JSON"));
    }
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
        "run" | "reproduce" => Action::Run {
            script: required(&["script", "code"])?,
            language: text(&["language"]),
            shows_fault: name == "reproduce",
        },
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
