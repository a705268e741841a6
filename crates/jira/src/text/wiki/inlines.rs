//! Parsing a line of wiki markup.

use crate::text::{Inline, MAX_DEPTH, is_safe, push_linked, push_text};

/// The longest format, link or code within a line. Without a limit, a line of opening characters takes quadratic time.
const MAX_SPAN_BYTES: usize = 1_000;

/// Parses the formats, links and texts of a line.
pub(super) fn inlines_of(text: &str, depth: usize) -> Vec<Inline> {
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

/// Parses the element at the start of `rest`. Returns it with its length in bytes; no element for markup that is dropped.
fn format_at(rest: &str, before: Option<char>, depth: usize) -> Option<(Option<Inline>, usize)> {
    let c = rest.chars().next()?;
    if !matches!(c, '\\' | '&' | '{' | '[' | '!' | '*' | '_' | '-') {
        return None;
    }
    let rest = &rest[..rest.floor_char_boundary(MAX_SPAN_BYTES)];
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
            Some((Some(apply_format(c, &rest[1..=end], depth)), end + 2))
        }
        _ => None,
    }
}

fn apply_format(delimiter: char, inner: &str, depth: usize) -> Inline {
    let inner = inlines_of(inner, depth + 1);
    match delimiter {
        '*' => Inline::Strong(inner),
        '_' => Inline::Emphasis(inner),
        _ => Inline::Strike(inner),
    }
}

/// Returns the position of the closing delimiter: one that follows a non-space and precedes a non-letter.
fn closing(text: &str, delimiter: char) -> Option<usize> {
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
        } else if c == delimiter
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

/// Parses `{{code}}` and `{*}bold{*}`, and drops macros such as `{color:red}`.
fn braces(rest: &str, depth: usize) -> Option<(Option<Inline>, usize)> {
    if let Some(inner) = rest.strip_prefix("{{") {
        let end = code_end(inner)?;
        return Some((Some(Inline::Code(unescape(&inner[..end]))), end + 4));
    }
    for delimiter in ['*', '_', '-'] {
        let braced = format!("{{{delimiter}}}");
        if let Some(inner) = rest.strip_prefix(braced.as_str()).filter(|_| depth < MAX_DEPTH) {
            let end = inner.find(braced.as_str())?;
            return Some((Some(apply_format(delimiter, &inner[..end], depth)), end + 6));
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

fn unescape(text: &str) -> String {
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

/// Parses `!picture.png|thumbnail!` into the picture's name.
fn image(rest: &str, before: Option<char>) -> Option<(Option<Inline>, usize)> {
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let end = rest[1..].find('!')? + 1;
    let name = rest[1..end].split('|').next().unwrap_or_default();
    let fits = name.contains('.') && !name.contains(char::is_whitespace);
    fits.then(|| (Some(Inline::Text(format!("({name})"))), end + 1))
}
