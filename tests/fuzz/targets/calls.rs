//! Calls of tools are read back as they were written, whatever stands around them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_core::llm::{ToolCall, split_calls};

fuzz_target!(|input: (&str, &str, &str)| {
    let (words, name, argument) = input;
    let _ = split_calls(words);
    if name.is_empty() || words.contains("<tool_call>") {
        return;
    }
    let call = ToolCall { id: "c".to_owned(), name: name.to_owned(), arguments: serde_json::json!({ "text": argument }) };
    let (calls, rest) = split_calls(&format!("{words}{}", call.to_text()));
    assert_eq!(calls, [call]);
    assert_eq!(rest, words);
});
