//! Wiki markup (API 2, and what webhooks carry).

use super::{Block, Inline, MAX_DEPTH, is_safe, plain, push_linked, push_text};

/// How far a format, a link or a piece of code may reach within a line, in bytes. A line of signs alone would otherwise be
/// looked through once for each of them.
const REACH: usize = 1_000;

/// Between a sign and what would give it its meaning.
const JOINER: char = '\u{200b}';

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

/// Reads wiki markup. What is not known stays as it is written.
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
        let (block, next) = match special(lines, at, depth) {
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

/// A block that is more than lines of text, and the line after it.
fn special(lines: &[&str], at: usize, depth: usize) -> Option<(Block, usize)> {
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
        let items = lines[at..].iter().take_while(|line| bullet(line.trim()).is_some()).count();
        let items_of: Vec<(&str, &str)> = lines[at..at + items].iter().filter_map(|line| bullet(line.trim())).collect();
        return Some((list_of(&items_of, 1), at + items));
    }
    None
}

fn heading(line: &str) -> Option<Block> {
    let rest = line.strip_prefix('h')?;
    let level = rest.chars().next()?.to_digit(10).filter(|level| (1..=6).contains(level))?;
    let text = rest[1..].strip_prefix(". ")?;
    Some(Block::Heading(u8::try_from(level).ok()?, inlines_of(text, 0)))
}

/// `{code}`, `{noformat}`, `{quote}` and `{panel}`: from a line that begins with one to the line that ends with the other.
/// One that is never closed reaches to the end, as it does on the page.
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

/// The cells between the signs; not the signs in links, code and escapes.
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
    // Before the first sign and behind the last one there is nothing; `||` has a nothing inside.
    let kept = cells.into_iter().skip(1);
    let mut kept: Vec<String> = if double { kept.skip(1).step_by(2).collect() } else { kept.collect() };
    if kept.last().is_some_and(|last| last.trim().is_empty()) {
        kept.pop();
    }
    kept.iter().map(|cell| inlines_of(cell.trim(), 0)).collect()
}

/// The signs of a list's line, and its text.
fn bullet(line: &str) -> Option<(&str, &str)> {
    let signs = line.bytes().take_while(|b| matches!(b, b'*' | b'#' | b'-')).count();
    let (signs, rest) = line.split_at(signs);
    let text = rest.strip_prefix(' ')?;
    let mixed_dash = signs.contains('-') && signs != "-";
    (!signs.is_empty() && signs.len() <= MAX_DEPTH && !mixed_dash).then_some((signs, text))
}

fn list_of(lines: &[(&str, &str)], level: usize) -> Block {
    let ordered = lines.first().is_some_and(|(signs, _)| signs.as_bytes().get(level - 1) == Some(&b'#'));
    let mut items: Vec<Vec<Block>> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (signs, text) = lines[at];
        if signs.len() > level {
            let deeper = lines[at..].iter().take_while(|(signs, _)| signs.len() > level).count();
            let below = list_of(&lines[at..at + deeper], level + 1);
            match items.last_mut() {
                Some(item) => item.push(below),
                None => items.push(vec![below]),
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

fn inlines_of(text: &str, depth: usize) -> Vec<Inline> {
    let mut out = Vec::new();
    let mut plain_text = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        if let Some((inline, used)) = format_at(rest, before, depth) {
            push_linked(&mut out, &std::mem::take(&mut plain_text));
            match inline {
                Some(Inline::Text(text)) => push_text(&mut out, &text),
                Some(inline) => out.push(inline),
                None => {}
            }
            before = rest[..used].chars().next_back();
            rest = &rest[used..];
            continue;
        }
        plain_text.push(c);
        before = Some(c);
        rest = &rest[c.len_utf8()..];
    }
    push_linked(&mut out, &plain_text);
    let mut merged: Vec<Inline> = Vec::new();
    for inline in out {
        match inline {
            Inline::Text(text) => push_text(&mut merged, &text),
            other => merged.push(other),
        }
    }
    merged
}

/// The part of a line that what begins here may reach.
fn within_reach(text: &str) -> &str {
    &text[..text.floor_char_boundary(REACH)]
}

/// What begins here, and how many bytes it takes.
fn format_at(rest: &str, before: Option<char>, depth: usize) -> Option<(Option<Inline>, usize)> {
    let c = rest.chars().next()?;
    if !matches!(c, '\\' | '&' | '{' | '[' | '!' | '*' | '_' | '-') {
        return None;
    }
    let rest = within_reach(rest);
    match c {
        '\\' => {
            let next = rest[1..].chars().next()?;
            if next == '\\' {
                return Some((Some(Inline::Break), 2));
            }
            let known = !next.is_alphanumeric() && !next.is_whitespace();
            known.then(|| (Some(Inline::Text(next.to_string())), 1 + next.len_utf8()))
        }
        '&' => {
            let end = rest.find(';').filter(|end| *end < 8)?;
            let code: u32 = rest[1..end].strip_prefix('#')?.parse().ok()?;
            Some((Some(Inline::Text(char::from_u32(code)?.to_string())), end + 1))
        }
        '{' => braces(rest, depth),
        '[' => link(rest),
        '!' => image(rest, before),
        '*' | '_' | '-' if depth < MAX_DEPTH => {
            let at_word = before.is_none_or(|before| !before.is_alphanumeric());
            let inner = rest[1..].chars().next().is_some_and(|next| !next.is_whitespace() && next != c);
            if !at_word || !inner {
                return None;
            }
            let end = closing(&rest[1..], c)?;
            Some((Some(formatted(c, &rest[1..=end], depth)), end + 2))
        }
        _ => None,
    }
}

fn formatted(sign: char, inner: &str, depth: usize) -> Inline {
    let inner = inlines_of(inner, depth + 1);
    match sign {
        '*' => Inline::Strong(inner),
        '_' => Inline::Emphasis(inner),
        _ => Inline::Strike(inner),
    }
}

/// Where a format ends: its sign behind a letter and not before one.
fn closing(text: &str, sign: char) -> Option<usize> {
    let mut escape = false;
    let mut before = ' ';
    let mut in_code = false;
    for (at, c) in text.char_indices() {
        let after = text[at + c.len_utf8()..].chars().next();
        if text[at..].starts_with("{{") {
            in_code = true;
        } else if text[at..].starts_with("}}") {
            in_code = false;
        }
        if escape {
            escape = false;
        } else if c == '\\' {
            escape = true;
        } else if c == sign
            && !in_code
            && !before.is_whitespace()
            && before != '{'
            && after.is_none_or(|next| !next.is_alphanumeric() && next != '}')
        {
            return Some(at);
        }
        before = c;
    }
    None
}

/// `{{code}}`, `{*}bold{*}`, and the macros whose form is not kept (`{color:red}`).
fn braces(rest: &str, depth: usize) -> Option<(Option<Inline>, usize)> {
    if let Some(inner) = rest.strip_prefix("{{") {
        let end = code_end(inner)?;
        return Some((Some(Inline::Code(unescaped(&inner[..end]))), end + 4));
    }
    for sign in ['*', '_', '-'] {
        let mark = format!("{{{sign}}}");
        if let Some(inner) = rest.strip_prefix(mark.as_str()).filter(|_| depth < MAX_DEPTH) {
            let end = inner.find(mark.as_str())?;
            return Some((Some(formatted(sign, &inner[..end], depth)), end + 6));
        }
    }
    let end = rest.find('}')?;
    let name = rest[1..end].split(':').next().unwrap_or_default();
    ["color", "anchor", "code", "noformat", "quote", "panel"].contains(&name).then_some((None, end + 1))
}

fn code_end(text: &str) -> Option<usize> {
    let mut escape = false;
    for (at, c) in text.char_indices() {
        if escape {
            escape = false;
        } else if c == '\\' {
            escape = true;
        } else if text[at..].starts_with("}}") {
            return Some(at);
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = if matches!(c, '\\' | '&') { format_at(rest, None, MAX_DEPTH) } else { None };
        if let Some((Some(Inline::Text(text)), used)) = found {
            out.push_str(&text);
            rest = &rest[used..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn link(rest: &str) -> Option<(Option<Inline>, usize)> {
    let end = rest.char_indices().skip(1).find(|(at, c)| *c == ']' && !rest[..*at].ends_with('\\'))?.0;
    let inner = &rest[1..end];
    if let Some(account) = inner.strip_prefix('~') {
        let scheme = account.get(..10).is_some_and(|scheme| scheme.eq_ignore_ascii_case("accountid:"));
        let id = if scheme { &account[10..] } else { account };
        let fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_".contains(&b));
        return fits.then(|| (Some(Inline::Mention { id: id.to_owned(), name: String::new() }), end + 1));
    }
    let mut parts = inner.splitn(3, '|');
    let first = parts.next().unwrap_or_default();
    let (text, url) = match parts.next() {
        Some(url) => (inlines_of(first, MAX_DEPTH), url),
        None => (vec![Inline::Text(first.to_owned())], first),
    };
    is_safe(url).then(|| (Some(Inline::Link { text, url: url.to_owned() }), end + 1))
}

/// `!picture.png|thumbnail!`: its name.
fn image(rest: &str, before: Option<char>) -> Option<(Option<Inline>, usize)> {
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let end = rest[1..].find('!')? + 1;
    let name = rest[1..end].split('|').next().unwrap_or_default();
    let fits = name.contains('.') && !name.contains(char::is_whitespace);
    fits.then(|| (Some(Inline::Text(format!("({name})"))), end + 1))
}
