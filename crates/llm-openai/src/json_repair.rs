//! Arguments of tools that are almost JSON: models leave line ends in strings, commas behind the last entry, and ends out.

use serde_json::Value;

/// Reads an object, mended where it is clear what is meant.
pub(crate) fn read_object(text: &str) -> Option<Value> {
    let text = text.trim();
    let text = text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).unwrap_or(text);
    let text = text.strip_suffix("```").unwrap_or(text).trim();
    if text.is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    parse(text).or_else(|| parse(&mend(text)?))
}

/// Escapes what may not stand in a string, leaves out commas before an end, and adds the brackets that are missing. A text that ends in a
/// string is cut off, and nobody knows what is missing.
fn mend(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut open = Vec::new();
    let (mut in_string, mut is_escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            match c {
                _ if is_escaped => {
                    // JSON knows few escapes, and models write those of regular expressions.
                    if !matches!(c, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u') {
                        out.push('\\');
                    }
                    out.push(c);
                    is_escaped = false;
                }
                '\\' => {
                    out.push(c);
                    is_escaped = true;
                }
                '"' => {
                    out.push(c);
                    in_string = false;
                }
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() => {}
                c => out.push(c),
            }
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                drop_comma(&mut out);
                open.pop();
            }
            _ => {}
        }
        out.push(c);
    }
    if in_string {
        return None;
    }
    while let Some(end) = open.pop() {
        drop_comma(&mut out);
        out.push(end);
    }
    Some(out)
}

fn drop_comma(out: &mut String) {
    let end = out.trim_end();
    if end.ends_with(',') {
        out.truncate(end.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_that_are_almost_json_are_read() {
        let wanted = json!({"path": "a.py", "text": "x = 1\ny = 2"});
        for text in [
            r#"{"path": "a.py", "text": "x = 1\ny = 2"}"#,
            "{\"path\": \"a.py\", \"text\": \"x = 1\ny = 2\"}",
            "{\"path\": \"a.py\", \"text\": \"x = 1\\ny = 2\",}",
            "```json\n{\"path\": \"a.py\", \"text\": \"x = 1\\ny = 2\"}\n```",
            "{\"path\": \"a.py\", \"text\": \"x = 1\\ny = 2\"",
        ] {
            assert_eq!(read_object(text), Some(wanted.clone()), "{text}");
        }
        assert_eq!(read_object(r#"{"pattern": "\d+\.py"}"#), Some(json!({"pattern": "\\d+\\.py"})));
        assert_eq!(read_object(r#"{"files": ["a", "b",]}"#), Some(json!({"files": ["a", "b"]})));
        assert_eq!(read_object(""), Some(json!({})));
        for text in ["[1]", "read a.py", "null", "{]", "{\"path\": \"a.py\", \"text\": \"x = 1"] {
            assert_eq!(read_object(text), None, "{text}");
        }
    }
}
