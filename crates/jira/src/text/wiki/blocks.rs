//! Parsing the lines of wiki markup into blocks.

use super::JOINER;
use super::inlines::inlines_of;
use crate::text::{Block, Inline, MAX_DEPTH, push_text};

/// Converts wiki markup into blocks. Unknown markup is kept as text.
pub fn from_wiki(text: &str) -> Vec<Block> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    blocks_of(&lines, 0)
}

fn blocks_of(lines: &[&str], depth: usize) -> Vec<Block> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut paragraph: Vec<&str> = Vec::new();
    while at < lines.len() {
        let line = lines[at].trim();
        let (block, next) = match special_block(lines, at, depth) {
            Some(found) => found,
            None if line.is_empty() => {
                end_paragraph(&mut paragraph, &mut out);
                at += 1;
                continue;
            }
            None => {
                paragraph.push(line);
                at += 1;
                continue;
            }
        };
        end_paragraph(&mut paragraph, &mut out);
        out.push(block);
        at = next;
    }
    end_paragraph(&mut paragraph, &mut out);
    out
}

fn end_paragraph(lines: &mut Vec<&str>, out: &mut Vec<Block>) {
    if lines.is_empty() {
        return;
    }
    let mut inlines = Vec::new();
    for (at, line) in lines.drain(..).enumerate() {
        if at > 0 {
            inlines.push(Inline::Break);
        }
        let line = line.strip_prefix(JOINER).unwrap_or(line);
        for inline in inlines_of(line, 0) {
            match inline {
                Inline::Text(text) => push_text(&mut inlines, &text),
                other => inlines.push(other),
            }
        }
    }
    out.push(Block::Paragraph(inlines));
}

/// Parses a block other than a paragraph. Returns it with the index of the line after it.
fn special_block(lines: &[&str], at: usize, depth: usize) -> Option<(Block, usize)> {
    let line = lines[at].trim();
    if line.len() >= 4 && line.bytes().all(|b| b == b'-') {
        return Some((Block::Rule, at + 1));
    }
    if let Some(block) = heading(line) {
        return Some((block, at + 1));
    }
    if let Some(rest) = line.strip_prefix("bq. ") {
        return Some((Block::Quote(vec![Block::Paragraph(inlines_of(rest, 0))]), at + 1));
    }
    if let Some(found) = macro_block(lines, at, depth) {
        return Some(found);
    }
    if line.starts_with('|') {
        let rows = lines[at..].iter().take_while(|line| line.trim().starts_with('|')).count();
        return Some((table(&lines[at..at + rows]), at + rows));
    }
    if bullet(line).is_some() {
        let items: Vec<(&str, &str)> = lines[at..].iter().map_while(|line| bullet(line.trim())).collect();
        return Some((list_of(&items, 1), at + items.len()));
    }
    None
}

fn heading(line: &str) -> Option<Block> {
    let rest = line.strip_prefix('h')?;
    let level = rest.chars().next()?.to_digit(10).filter(|level| (1..=6).contains(level))?;
    let text = rest[1..].strip_prefix(". ")?;
    Some(Block::Heading(u8::try_from(level).ok()?, inlines_of(text, 0)))
}

/// Parses `{code}`, `{noformat}`, `{quote}` and `{panel}`, from a line that starts with the macro to the line that ends with
/// it. A macro that is not closed extends to the end, as in Jira.
fn macro_block(lines: &[&str], at: usize, depth: usize) -> Option<(Block, usize)> {
    let line = lines[at].trim();
    let name = ["code", "noformat", "quote", "panel"].into_iter().find(|name| {
        let rest = line.strip_prefix('{').and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['}', ':']))
    })?;
    let head_end = line.find('}')?;
    let options = &line[1 + name.len()..head_end];
    let close = format!("{{{name}}}");
    let mut inner: Vec<&str> = Vec::new();
    let mut next = lines.len();
    let first = &line[head_end + 1..];
    if let Some(text) = first.strip_suffix(close.as_str()) {
        inner.push(text);
        next = at + 1;
    } else {
        if !first.trim().is_empty() {
            inner.push(first);
        }
        for (number, line) in lines.iter().enumerate().skip(at + 1) {
            if let Some(text) = line.trim_end().strip_suffix(close.as_str()) {
                if !text.trim().is_empty() {
                    inner.push(text);
                }
                next = number + 1;
                break;
            }
            inner.push(line);
        }
    }
    let block = match name {
        "code" | "noformat" => {
            let option = options.trim_start_matches(':').split('|').find(|option| !option.contains('='));
            let language = if name == "code" { option.unwrap_or_default().to_owned() } else { String::new() };
            Block::Code { language, text: inner.join("\n").replace(&format!("{{{JOINER}code"), "{code") }
        }
        _ if depth >= MAX_DEPTH => Block::Paragraph(vec![Inline::Text(inner.join(" "))]),
        "quote" => Block::Quote(blocks_of(&inner, depth + 1)),
        _ => {
            let title = options.trim_start_matches(':').split('|').find_map(|option| option.strip_prefix("title="));
            Block::Details { summary: title.unwrap_or_default().to_owned(), blocks: blocks_of(&inner, depth + 1) }
        }
    };
    Some((block, next))
}

fn table(lines: &[&str]) -> Block {
    let mut head = Vec::new();
    let mut rows = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim();
        let is_head = line.starts_with("||");
        let cells = cells_of(line);
        if is_head && at == 0 { head = cells } else { rows.push(cells) }
    }
    Block::Table { head, rows }
}

/// Splits a row at its separators, except for `|` in links and after a backslash.
fn cells_of(line: &str) -> Vec<Vec<Inline>> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let (mut in_link, mut escape) = (false, false);
    for c in line.chars() {
        match c {
            _ if escape => {
                cell.push(c);
                escape = false;
            }
            '\\' => {
                cell.push(c);
                escape = true;
            }
            '|' if !in_link => cells.push(std::mem::take(&mut cell)),
            c => {
                in_link = (in_link || c == '[') && c != ']';
                cell.push(c);
            }
        }
    }
    cells.push(cell);
    let double = line.starts_with("||");
    // The parts before the first separator and after the last one are no cells, nor are the empty parts within `||`.
    let kept = cells.into_iter().skip(1);
    let mut kept: Vec<String> = if double { kept.skip(1).step_by(2).collect() } else { kept.collect() };
    if kept.last().is_some_and(|last| last.trim().is_empty()) {
        kept.pop();
    }
    kept.iter().map(|cell| inlines_of(cell.trim(), 0)).collect()
}

/// Splits an item of a list into its bullets and its text.
fn bullet(line: &str) -> Option<(&str, &str)> {
    let count = line.bytes().take_while(|b| matches!(b, b'*' | b'#' | b'-')).count();
    let (bullets, rest) = line.split_at(count);
    let text = rest.strip_prefix(' ')?;
    let mixed_dash = bullets.contains('-') && bullets != "-";
    (!bullets.is_empty() && bullets.len() <= MAX_DEPTH && !mixed_dash).then_some((bullets, text))
}

fn list_of(lines: &[(&str, &str)], level: usize) -> Block {
    let ordered = lines.first().is_some_and(|(bullets, _)| bullets.as_bytes().get(level - 1) == Some(&b'#'));
    let mut items: Vec<Vec<Block>> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (bullets, text) = lines[at];
        if bullets.len() > level {
            let deeper = lines[at..].iter().take_while(|(bullets, _)| bullets.len() > level).count();
            let nested = list_of(&lines[at..at + deeper], level + 1);
            match items.last_mut() {
                Some(item) => item.push(nested),
                None => items.push(vec![nested]),
            }
            at += deeper;
            continue;
        }
        let paragraphs = text.split(" \\\\ ").map(|text| Block::Paragraph(inlines_of(text.trim(), 0)));
        items.push(paragraphs.collect());
        at += 1;
    }
    Block::List { ordered, items }
}
