//! Stack frames of a text.

use std::borrow::Cow;
use std::collections::HashSet;

use regex::Captures;

use crate::pattern::pattern;

pattern!(PYTHON_FRAME, r#"File "?([^"\n,]+?)"?, line \d+(?:, in ([\w<>.]+))?"#);
pattern!(LINE_FRAME, r"(?m)^\s*([\w./\\~-]+\.(?:py|pyx)):\d+:");
pattern!(NOTEBOOK_FRAME, r"([\w./\\~<>-]+\.(?:py|pyx)) in ([\w<>]+)\(");
pattern!(
    OTHER_FRAME,
    r"(?m)(?:\bat |\bfrom |--> |^\s+)(?:(?:async )?([\w.$<>:]+) ?\()?([\w./\\@-]+\.[A-Za-z]{1,4}):\d+"
);
pattern!(C_SHARP_FRAME, r"at [\w.<>`]*?(\w+)(?:\[[^\]]*\])?\([^)\n]*\) in ([^\n]+?\.cs):line \d+");
pattern!(PHP_FRAME, r"#\d+ ([\w./\\-]+\.php)\(\d+\): (?:[\w\\]+(?:->|::))?(\w+)\(");
pattern!(JAVA_FRAME, r"at ((?:[\w$]+\.)+)([\w$<>]+)\(([\w$]+\.(?:java|kt|scala)):\d+\)");

/// The largest number of frames; traces of endless recursion have more.
const MAX_FRAMES: usize = 100;

/// Returns a text without the stack frames of Python: their files are absolute paths of another machine.
pub(super) fn without_frames(text: &str) -> Cow<'_, str> {
    PYTHON_FRAME.replace_all(text, " ")
}

/// Returns whether a line has a stack frame.
pub(super) fn has_frame(line: &str) -> bool {
    let patterns = [&PYTHON_FRAME, &LINE_FRAME, &NOTEBOOK_FRAME, &OTHER_FRAME, &C_SHARP_FRAME, &PHP_FRAME, &JAVA_FRAME];
    patterns.into_iter().any(|pattern| pattern.is_match(line))
}

/// Finds the files of stack frames, innermost first, with the function if it is named.
pub(super) fn find_frames(text: &str) -> Vec<(String, Option<String>)> {
    let position = |found: &Captures<'_>| found.get(0).map_or(0, |whole| whole.start());
    let path = |text: &str| text.replace('\\', "/");
    let mut python: Vec<(usize, String, Option<String>)> = Vec::new();
    for found in PYTHON_FRAME.captures_iter(text).chain(NOTEBOOK_FRAME.captures_iter(text)) {
        python.push((position(&found), path(&found[1]), found.get(2).map(|name| name.as_str().to_owned())));
    }
    python.extend(LINE_FRAME.captures_iter(text).map(|found| (position(&found), path(&found[1]), None)));
    python.sort();
    // Python prints the innermost frame last, most other languages first.
    let mut frames: Vec<(String, Option<String>)> =
        python.into_iter().rev().map(|(_, path, function)| (path, function)).collect();
    frames.extend(JAVA_FRAME.captures_iter(text).map(|found| {
        let class: Vec<&str> = found[1].trim_end_matches('.').split('.').collect();
        let package = class[..class.len().saturating_sub(1)].join("/");
        (format!("{package}/{}", &found[3]), Some(found[2].to_owned()))
    }));
    let named =
        |found: &Captures<'_>, file: usize, function: usize| (path(&found[file]), Some(found[function].to_owned()));
    frames.extend(C_SHARP_FRAME.captures_iter(text).map(|found| named(&found, 2, 1)));
    frames.extend(PHP_FRAME.captures_iter(text).map(|found| named(&found, 1, 2)));
    frames.extend(OTHER_FRAME.captures_iter(text).map(|found| {
        let function = found.get(1).and_then(|name| name.as_str().rsplit(['.', ':']).next().map(str::to_owned));
        (path(&found[2]), function)
    }));
    let mut known = HashSet::new();
    frames.retain(|frame| known.insert(frame.clone()));
    frames.truncate(MAX_FRAMES);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_frames_are_ordered_innermost_first() {
        let text = "Traceback (most recent call last):\n  File \"app/main.py\", line 3, in run\n    go()\n  File \"/usr/lib/site-packages/lib/core.py\", line 9, in go\n    raise X\n";
        let frames = find_frames(text);
        assert_eq!(frames[0], ("/usr/lib/site-packages/lib/core.py".to_owned(), Some("go".to_owned())));
        assert_eq!(frames[1].0, "app/main.py");
        let node = find_frames("    at Parser.parse (/app/src/parser.js:10:5)");
        assert_eq!(node[0], ("/app/src/parser.js".to_owned(), Some("parse".to_owned())));
        let java = find_frames("\tat com.acme.io.Reader.read(Reader.java:42)");
        assert_eq!(java[0], ("com/acme/io/Reader.java".to_owned(), Some("read".to_owned())));
        assert_eq!(find_frames("  --> src/main.rs:4:9")[0].0, "src/main.rs");
        let frame = |text: &str| find_frames(text)[0].clone();
        let named = |path: &str, function: &str| (path.to_owned(), Some(function.to_owned()));
        assert_eq!(
            frame("   at Acme.Io.Reader.Read(Stream s) in C:\\src\\Io\\Reader.cs:line 42"),
            named("C:/src/Io/Reader.cs", "Read")
        );
        assert_eq!(
            frame("#0 /var/www/src/Reader.php(42): Acme\\Reader->read()"),
            named("/var/www/src/Reader.php", "read")
        );
        assert_eq!(frame("\t/go/src/acme/reader.go:42 +0x1d").0, "/go/src/acme/reader.go");
        assert_eq!(frame("#1 0x0000555 in read_line (s=0x0) at src/reader.c:42").0, "src/reader.c");
        assert_eq!(frame("\tfrom lib/acme/reader.rb:42:in `read'").0, "lib/acme/reader.rb");
        assert_eq!(frame("   2: acme::reader::read\n             at ./src/reader.rs:42:9").0, "./src/reader.rs");
    }
}
