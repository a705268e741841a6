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
    for tag in TAGS {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        if let Some(end) = text.find(&close).filter(|end| is_prose(&text[..*end]) && !text[..*end].contains(&open)) {
            return strip(&text[end + close.len()..]);
        }
    }
    text
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
        ] {
            assert_eq!(strip(answer), answer);
        }
    }
}
