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
    let arguments = std::iter::once(("text".to_owned(), argument.into())).collect::<std::collections::BTreeMap<String, String>>();
    let arguments = arguments.into_iter().map(|(name, text)| (name, text.into())).collect();
    let call = ToolCall { id: "c".to_owned(), name: name.to_owned(), arguments };
    let (calls, rest) = split_calls(&format!("{words}{}", call.to_text()));
    assert_eq!(calls, [call]);
    assert_eq!(rest, words);
});
