//! The thoughts that reasoning models write before their answer, in the text of the answer itself.

/// The tags around thoughts, as open models and their templates write them.
const TAGS: [&str; 4] = ["think", "thinking", "thought", "reasoning"];

/// Returns the answer without the thoughts before it. Some templates write the opening tag themselves, so that the answer has
/// the closing one alone. Tags later in the text are part of the answer: it may be about them.
pub(crate) fn strip(answer: &str) -> &str {
    let text = answer.trim_start();
    for tag in TAGS {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let Some(rest) = text.strip_prefix(open.as_str()) else { continue };
        // Without an end there are thoughts only.
        let Some(end) = rest.find(&close) else { return "" };
        return strip(&rest[end + close.len()..]);
    }
    // An answer in JSON may be about the tags.
    if text.starts_with(['{', '[']) {
        return text;
    }
    for tag in TAGS {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        if let Some(end) = text.find(&close).filter(|end| is_prose(&text[..*end]) && !text[..*end].contains(&open)) {
            return strip(&text[end + close.len()..]);
        }
        if let Some(answer) = after_line(text, &close) {
            return strip(answer);
        }
    }
    text
}

/// Returns what follows the line that is the closing tag alone, outside of all code: drafts of code are thoughts too.
fn after_line<'a>(text: &'a str, close: &str) -> Option<&'a str> {
    let (mut in_fence, mut in_block, mut at) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let line = line.trim();
        if line.starts_with("```") {
            in_fence = !in_fence;
        } else if line.starts_with("<<<<<<<") {
            in_block = true;
        } else if line.starts_with(">>>>>>>") {
            in_block = false;
        } else if line == close && !in_fence && !in_block {
            return Some(&text[at..]);
        }
    }
    None
}

/// Returns whether a text can be thoughts without an opening tag: it holds no code that an answer would be made of.
fn is_prose(text: &str) -> bool {
    !text.contains("```") && !text.contains("<<<<<<<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_before_the_answer_are_no_part_of_it() {
        for (answer, wanted) in [
            ("<think>\nThey want {json}.\n</think>\n\n{\"a\": 1}", "{\"a\": 1}"),
            ("I look at it.\n</think>\nyes", "yes"),
            ("<thinking>a</thinking><think>b</think>c", "c"),
            ("<think></think>\n\nyes", "yes"),
            ("<think>never ends", ""),
            ("plain", "plain"),
            (
                "Perhaps:\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\nno.\n</think>\n<<<<<<< SEARCH\na",
                "<<<<<<< SEARCH\na",
            ),
            ("A draft:\n```json\n{}\n```\n</think>\n\n{\"a\": 1}", "{\"a\": 1}"),
            ("  plain \n", "plain \n"),
        ] {
            assert_eq!(strip(answer), wanted, "{answer}");
        }
    }

    #[test]
    fn tags_in_the_answer_itself_stay() {
        for answer in [
            "```python\nOPEN = '<think>'\nCLOSE = '</think>'\n```",
            "<<<<<<< SEARCH\n</think>\n=======\n",
            "The tag is <think>x</think>.",
            "{\"title\": \"what follows </think> is lost\"}",
            "```html\n</think>\n```",
        ] {
            assert_eq!(strip(answer), answer);
        }
    }
}
