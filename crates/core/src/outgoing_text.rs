//! Neutralizes outside text in published comments.

/// The longest piece of outside text in one comment, in characters.
pub const MAX_PIECE: usize = 4_000;

/// Escapes outside text (an issue's title, a model's answer) for Markdown: it cannot mention users, close issues, load
/// images or contain HTML, and it stays readable.
pub fn neutralise(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    let mut chars = text.chars().take(MAX_PIECE).peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A zero-width character after the sigil prevents a link and is invisible.
            '@' if chars.peek().is_some_and(|next| next.is_alphanumeric()) => out.push_str("@\u{200b}"),
            '#' if chars.peek().is_some_and(char::is_ascii_digit) => out.push_str("\u{200b}#"),
            '[' if before == '!' => out.push_str("\u{200b}["),
            '/' if before == '/' && out.ends_with(":/") => out.push_str("\u{200b}/"),
            // Direction marks and tag characters can hide text from the reader.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}' => {
            }
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// Does the same on one line, for titles and table cells.
pub fn neutralise_line(text: &str, max_chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = shorten(&line, max_chars);
    neutralise(&cut).replace('|', "\\|").replace('`', "'")
}

/// Renders a text as a code block that the text cannot close.
pub fn code_block(text: &str, language: &str) -> String {
    let longest = text.lines().map(|line| line.trim_start().bytes().take_while(|b| *b == b'`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}

/// Cuts a text to at most so many characters, with an ellipsis.
pub fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_and_nothing_is_closed_or_loaded() {
        let text = neutralise("closes #12, a/b#3 @org/team ![x](http://evil/?q) <b>x</b> \u{202e}abc a@b");
        for bad in ["#12 ", "@org", "![", "://", "<b>", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        assert!(text.contains("\u{200b}#12") && text.contains("@\u{200b}org/team"));
        assert_eq!(neutralise("C# and a # heading, 50 % @ 3"), "C# and a # heading, 50 % @ 3");
    }

    #[test]
    fn a_line_stays_in_its_cell() {
        assert_eq!(neutralise_line("a | b\n`c`", 40), "a \\| b 'c'");
        assert_eq!(neutralise_line("abcdef", 4), "abc…");
    }

    #[test]
    fn a_code_block_cannot_be_left() {
        assert_eq!(code_block("a\n```\nb", ""), "````\na\n```\nb\n````");
        assert_eq!(code_block("x", "diff"), "```diff\nx\n```");
    }
}
