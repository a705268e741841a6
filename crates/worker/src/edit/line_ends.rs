//! Line ends and the byte order mark: a model sees and writes plain lines, and the file keeps what it had.

use similar::{ChangeTag, TextDiff};

/// The mark at the beginning of some files of Windows.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns a file as a model sees it: lines that end in `\n`, and no byte order mark.
pub fn plain(text: &str) -> String {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).replace("\r\n", "\n")
}

/// Returns the new text with what the old one had: lines that stay keep their ends, others get those that most lines have; a byte
/// order mark stays; so does a last line without an end.
pub(super) fn restore(old: &str, new: &str) -> String {
    let mark = old.starts_with(BYTE_ORDER_MARK);
    let old = old.strip_prefix(BYTE_ORDER_MARK).unwrap_or(old);
    let new = plain(new);
    let has_last_end = old.is_empty() || old.ends_with('\n');
    let new = match (has_last_end, new.strip_suffix('\n')) {
        (false, Some(rest)) => rest.to_owned(),
        (true, None) if !new.is_empty() => new + "\n",
        _ => new,
    };
    let windows = old.matches("\r\n").count();
    let text = match windows {
        0 => new,
        all if all == old.matches('\n').count() => new.replace('\n', "\r\n"),
        _ => restore_mixed(old, &new, windows * 2 > old.matches('\n').count()),
    };
    if mark { format!("{BYTE_ORDER_MARK}{text}") } else { text }
}

/// For a file in which both ends occur: each line that stays keeps its own.
fn restore_mixed(old: &str, new: &str, is_mostly_windows: bool) -> String {
    let plain_old = plain(old);
    let ends: Vec<&str> = old.split_inclusive('\n').map(end_of).collect();
    let usual = if is_mostly_windows { "\r\n" } else { "\n" };
    let mut out = String::with_capacity(new.len());
    for change in TextDiff::from_lines(plain_old.as_str(), new).iter_all_changes() {
        let end = match change.tag() {
            ChangeTag::Delete => continue,
            ChangeTag::Equal => change.old_index().and_then(|line| ends.get(line)).copied().unwrap_or(usual),
            ChangeTag::Insert => usual,
        };
        let line = change.value();
        match line.strip_suffix('\n') {
            Some(line) => out.extend([line, end]),
            None => out.push_str(line),
        }
    }
    out
}

fn end_of(line: &str) -> &str {
    if line.ends_with("\r\n") {
        "\r\n"
    } else if line.ends_with('\n') {
        "\n"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_g_lines_keep_their_ends() {
        for (old, new, wanted) in [
            ("a\nb\n", "a\nc\n", "a\nc\n"),
            ("a\r\nb\r\n", "a\nc\n", "a\r\nc\r\n"),
            ("a\r\nb\r\n", "a\r\nc\r\n", "a\r\nc\r\n"),
            ("a\r\nb\nc\r\n", "a\nb\nx\nc\n", "a\r\nb\nx\r\nc\r\n"),
            ("a\nb\r\nc\nd\n", "a\nb\nx\n", "a\nb\r\nx\n"),
            ("a\nb", "a\nc\n", "a\nc"),
            ("a\nb\n", "a\nc", "a\nc\n"),
            ("\u{feff}a\r\n", "b\n", "\u{feff}b\r\n"),
            ("\u{feff}a\n", "\u{feff}b\n", "\u{feff}b\n"),
            ("", "new\n", "new\n"),
        ] {
            assert_eq!(restore(old, new), wanted, "{old:?} {new:?}");
        }
        for text in ["", "a", "a\r\nb\nc", "\u{feff}\r\n", "a\r\n\r\nb\n"] {
            assert_eq!(restore(text, &plain(text)), text, "what stays is as it was");
        }
    }
}
