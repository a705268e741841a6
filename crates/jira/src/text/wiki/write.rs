//! Formatting blocks as wiki markup.

use super::JOINER;
use crate::text::{Block, Inline, plain};

/// Converts blocks into wiki markup. Characters with a meaning in wiki markup are escaped in texts.
pub fn to_wiki(blocks: &[Block]) -> String {
    blocks.iter().map(block_text).collect::<Vec<_>>().join("\n\n")
}

fn block_text(block: &Block) -> String {
    match block {
        Block::Heading(level, inlines) => format!("h{}. {}", level, one_line(&inline_text(inlines))),
        Block::Paragraph(inlines) => lines_of(inlines),
        Block::Code { language, text } => {
            let known: String = language.chars().filter(char::is_ascii_alphanumeric).collect();
            let head = if known.is_empty() { "{code}".to_owned() } else { format!("{{code:{known}}}") };
            // A `{code}` in the text would end the block.
            format!("{head}\n{}\n{{code}}", text.replace("{code", &format!("{{{JOINER}code")))
        }
        Block::Quote(blocks) => format!("{{quote}}\n{}\n{{quote}}", to_wiki(blocks)),
        Block::List { .. } => list(block, "").join("\n"),
        Block::Table { head, rows } => {
            let cells = |cells: &[Vec<Inline>], separator: &str| {
                let cell = |cell: &Vec<Inline>| {
                    let text = one_line(&inline_text(cell));
                    // Without a space, the separators around an empty cell would be one of another kind.
                    if text.is_empty() { " ".to_owned() } else { text }
                };
                format!("{separator}{}{separator}", cells.iter().map(cell).collect::<Vec<_>>().join(separator))
            };
            let head = (!head.is_empty()).then(|| cells(head, "||"));
            head.into_iter().chain(rows.iter().map(|row| cells(row, "|"))).collect::<Vec<_>>().join("\n")
        }
        Block::Rule => "----".to_owned(),
        Block::Details { summary, blocks } => {
            let title: String = summary.chars().filter(|c| !matches!(c, '|' | '{' | '}' | '=' | '\n')).collect();
            format!("{{panel:title={title}}}\n{}\n{{panel}}", to_wiki(blocks))
        }
    }
}

/// Formats the lines of a list. The first paragraphs of an item are joined with line breaks; other blocks follow it.
fn list(block: &Block, bullets: &str) -> Vec<String> {
    let Block::List { ordered, items } = block else { return Vec::new() };
    let bullets = format!("{bullets}{}", if *ordered { '#' } else { '*' });
    let mut out = Vec::new();
    for item in items {
        let mut paragraphs = Vec::new();
        let mut nested = Vec::new();
        for block in item {
            match block {
                Block::Paragraph(inlines) if nested.is_empty() => {
                    paragraphs.push(inline_text(inlines).replace('\n', " "));
                }
                Block::List { .. } => nested.extend(list(block, &bullets)),
                other => nested.push(block_text(other)),
            }
        }
        out.push(format!("{bullets} {}", paragraphs.join(" \\\\ ")));
        out.extend(nested);
    }
    out
}

/// Formats a paragraph and protects line starts that would begin another block.
fn lines_of(inlines: &[Inline]) -> String {
    let safe = |line: &str| {
        let bytes = line.as_bytes();
        let heading = bytes.len() > 2 && bytes[0] == b'h' && bytes[1].is_ascii_digit() && bytes[2] == b'.';
        let starts_block = heading || line.starts_with("bq.") || line.starts_with('#');
        if starts_block { format!("{JOINER}{line}") } else { line.to_owned() }
    };
    inline_text(inlines).lines().map(|line| safe(line.trim())).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn inline_text(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for (at, inline) in inlines.iter().enumerate() {
        let next = inlines.get(at + 1);
        match inline {
            Inline::Text(text) => out.push_str(&escape(text)),
            Inline::Strong(inner) => wrap(&mut out, "*", inner, next),
            Inline::Emphasis(inner) => wrap(&mut out, "_", inner, next),
            Inline::Strike(inner) => wrap(&mut out, "-", inner, next),
            Inline::Code(code) => out.push_str(&format!("{{{{{}}}}}", escape(&one_line(code)))),
            Inline::Link { text, url } if plain(text) == *url => out.push_str(&format!("[{url}]")),
            Inline::Link { text, url } => out.push_str(&format!("[{}|{url}]", one_line(&inline_text(text)))),
            Inline::Mention { id, .. } => out.push_str(&format!("[~accountid:{id}]")),
            Inline::Break => out.push('\n'),
        }
    }
    out
}

/// Delimiters have an effect at word boundaries only; in braces they have one everywhere.
fn wrap(out: &mut String, delimiter: &str, inner: &[Inline], next: Option<&Inline>) {
    let text = inline_text(inner);
    let within_word = out.chars().next_back().is_some_and(char::is_alphanumeric)
        || next.is_some_and(|next| plain(std::slice::from_ref(next)).starts_with(char::is_alphanumeric));
    if within_word {
        out.push_str(&format!("{{{delimiter}}}{text}{{{delimiter}}}"));
    } else {
        out.push_str(&format!("{delimiter}{text}{delimiter}"));
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // Two backslashes are a line break, and one escapes the next character.
            '\\' => out.push_str("&#92;"),
            '&' => out.push_str("&#38;"),
            '*' | '_' | '-' | '+' | '^' | '~' | '{' | '}' | '[' | ']' | '|' | '!' | '?' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
