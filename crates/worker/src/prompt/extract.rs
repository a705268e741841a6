//! Extracts JSON from a model's answer: fenced JSON first, then the outermost object.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Parses the JSON in an answer.
///
/// # Errors
/// A message for the model: the error in the part that is most likely JSON.
pub(crate) fn json<T: DeserializeOwned>(answer: &str) -> Result<T, String> {
    let mut problem = None;
    for place in fenced(answer).into_iter().chain([answer]) {
        for object in objects(place) {
            match serde_json::from_value(object) {
                Ok(value) => return Ok(value),
                Err(error) => problem = problem.or(Some(format!("the JSON in it does not fit: {error}"))),
            }
        }
    }
    // The words of the parser for what looks most like an object.
    let broken = || answer.find('{').and_then(|at| serde_json::from_str::<Value>(&answer[at..]).err());
    let broken = || broken().map(|error| format!("the JSON in it is broken: {error}"));
    Err(problem.or_else(broken).unwrap_or_else(|| "it holds no JSON object".to_owned()))
}

/// How many places are tried at which an object may begin.
const MAX_PLACES: usize = 200;

/// Returns the outermost objects in a text, in their order. Words, with braces or without, may stand around them.
fn objects(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let (mut at, mut places) = (0, 0);
    while let Some(start) = text[at..].find('{').map(|offset| at + offset) {
        places += 1;
        if places > MAX_PLACES {
            break;
        }
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                at = start + values.byte_offset();
                found.push(value);
            }
            _ => at = start + 1,
        }
    }
    found
}

/// Returns the contents of the fenced blocks, in order. An unclosed block extends to the end.
pub(crate) fn fenced(answer: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        let mark = line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
        let bare = line.trim().len() == mark;
        match open {
            Some((start, length)) if mark >= length && bare => {
                blocks.push(&answer[start..at]);
                open = None;
            }
            None if mark >= 3 => open = Some((at + line.len(), mark)),
            _ => {}
        }
        at += line.len();
    }
    if let Some((start, _)) = open {
        blocks.push(&answer[start.min(answer.len())..]);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Answer {
        a: u32,
    }

    #[test]
    fn json_is_found_wherever_it_stands() {
        for text in [
            r#"{"a":1}"#,
            "Sure!\n```json\n{\"a\":1}\n```\nDone.",
            "```\nnot json\n```\n```json\n{\"a\":1}\n```",
            "Here: {\"a\":1} as you wished",
            "```json\n{\"a\":1}", // cut off after the object
            "{\"a\":1}\n\nNote: the dict {a: 1} stays as it is.",
            "The set {x} and {\"b\": {\"a\": 2}} first, then {\"a\":1}",
        ] {
            assert_eq!(json::<Answer>(text), Ok(Answer { a: 1 }), "{text}");
        }
    }

    #[test]
    fn invalid_answers_are_named() {
        assert_eq!(json::<Answer>("I cannot help"), Err("it holds no JSON object".to_owned()));
        assert!(json::<Answer>("{\"b\":1}").unwrap_err().contains("missing field `a`"));
        assert!(json::<Answer>("}{").is_err());
    }

    #[test]
    fn longer_fences_hold_shorter_ones() {
        assert_eq!(fenced("````md\n```\nx\n```\n````"), ["```\nx\n```\n"]);
        assert_eq!(fenced("```a\n1\n```\n```b\n2\n```\n"), ["1\n", "2\n"]);
    }
}
