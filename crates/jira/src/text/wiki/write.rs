//! Blocks as wiki markup.

use super::JOINER;
use crate::text::{Block, Inline, plain};

/// Writes wiki markup in which nothing has a meaning that it did not have.
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
            // The text could end the block itself.
            format!("{head}\n{}\n{{code}}", text.replace("{code", &format!("{{{JOINER}code")))
        }
        Block::Quote(blocks) => format!("{{quote}}\n{}\n{{quote}}", to_wiki(blocks)),
        Block::List { .. } => list(block, "").join("\n"),
        Block::Table { head, rows } => {
            let cells = |cells: &[Vec<Inline>], sign: &str| {
                let cell = |cell: &Vec<Inline>| {
                    let text = one_line(&inline_text(cell));
                    // An empty cell would run into the next one's sign.
                    if text.is_empty() { " ".to_owned() } else { text }
                };
                format!("{sign}{}{sign}", cells.iter().map(cell).collect::<Vec<_>>().join(sign))
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

/// The lines of a list; what is neither text nor a list inside follows on the same line as words.
fn list(block: &Block, signs: &str) -> Vec<String> {
    let Block::List { ordered, items } = block else { return Vec::new() };
    let signs = format!("{signs}{}", if *ordered { '#' } else { '*' });
    let mut out = Vec::new();
    for item in items {
        let mut words = Vec::new();
        let mut below = Vec::new();
        for block in item {
            match block {
                Block::Paragraph(inlines) if below.is_empty() => words.push(inline_text(inlines).replace('\n', " ")),
                Block::List { .. } => below.extend(list(block, &signs)),
                other => below.push(block_text(other)),
            }
        }
        out.push(format!("{signs} {}", words.join(" \\\\ ")));
        out.extend(below);
    }
    out
}

/// A paragraph whose lines begin nothing else.
fn lines_of(inlines: &[Inline]) -> String {
    let safe = |line: &str| {
        let bytes = line.as_bytes();
        let heading = bytes.len() > 2 && bytes[0] == b'h' && bytes[1].is_ascii_digit() && bytes[2] == b'.';
        let begins = heading || line.starts_with("bq.") || line.starts_with('#');
        if begins { format!("{JOINER}{line}") } else { line.to_owned() }
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
            Inline::Text(text) => out.push_str(&escaped(text)),
            Inline::Strong(inner) => wrap(&mut out, "*", inner, next),
            Inline::Emphasis(inner) => wrap(&mut out, "_", inner, next),
            Inline::Strike(inner) => wrap(&mut out, "-", inner, next),
            Inline::Code(code) => out.push_str(&format!("{{{{{}}}}}", escaped(&one_line(code)))),
            Inline::Link { text, url } if plain(text) == *url => out.push_str(&format!("[{url}]")),
            Inline::Link { text, url } => out.push_str(&format!("[{}|{url}]", one_line(&inline_text(text)))),
            Inline::Mention { id, .. } => out.push_str(&format!("[~accountid:{id}]")),
            Inline::Break => out.push('\n'),
        }
    }
    out
}

/// A format's signs count between words only; in braces they count everywhere.
fn wrap(out: &mut String, sign: &str, inner: &[Inline], next: Option<&Inline>) {
    let text = inline_text(inner);
    let joined = out.chars().next_back().is_some_and(char::is_alphanumeric)
        || next.is_some_and(|next| plain(std::slice::from_ref(next)).starts_with(char::is_alphanumeric));
    if joined {
        out.push_str(&format!("{{{sign}}}{text}{{{sign}}}"));
    } else {
        out.push_str(&format!("{sign}{text}{sign}"));
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // Two of them are a new line, one takes the meaning of what follows.
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
