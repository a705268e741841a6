//! What the text of an issue says about files: paths, modules, stack frames, names, words.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::tokens::for_each_word;

/// The text of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    title: String,
    body: String,
}

impl IssueText {
    /// A title and a body; either may be empty.
    pub fn new(title: impl Into<String>, body: impl Into<String>) -> Self {
        Self { title: title.into(), body: body.into() }
    }
}

/// How much of the body is read: reports paste whole logs.
const MAX_BODY: usize = 60_000;
/// A word of the title counts as much as so many of the body.
const TITLE_WEIGHT: f32 = 3.0;

/// What the text says.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Paths and file names, as written.
    pub(crate) paths: Vec<String>,
    /// Dotted or `::` module names, as paths: `a.b.c` is `a/b/c`.
    pub(crate) modules: Vec<String>,
    /// Files of stack frames, innermost first, with the function when it is said.
    pub(crate) frames: Vec<(String, Option<String>)>,
    /// Names that look like code.
    pub(crate) names: Vec<String>,
    /// Words with their weights.
    pub(crate) words: HashMap<String, f32>,
    /// Whether the text speaks of tests, docs, …
    pub(crate) about_tests: bool,
    pub(crate) about_docs: bool,
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("the pattern is right"));
    };
}

pattern!(PYTHON_FRAME, r#"File "([^"\n]+)", line \d+(?:, in ([A-Za-z_<][\w>]*))?"#);
pattern!(OTHER_FRAME, r"(?m)(?:at |from |--> |^\s+)(?:([\w.$<>:]+) ?\()?([\w./\\@-]+\.[A-Za-z]{1,4}):\d+");
pattern!(JAVA_FRAME, r"at ((?:[\w$]+\.)+)[\w$<>]+\(([\w$]+\.(?:java|kt|scala)):\d+\)");
pattern!(
    PATH,
    r"[\w.@-]+(?:[/\\][\w.@-]+)+|\b[\w-]+\.(?:py|rs|go|js|jsx|ts|tsx|java|kt|c|cc|cpp|h|hpp|cs|rb|php|scala|swift|vue|toml|ya?ml|json|cfg|ini|sh|sql|html|css|md|rst)\b"
);
pattern!(MODULE, r"\b[A-Za-z_]\w+(?:(?:\.|::)[A-Za-z_]\w*){1,7}");
pattern!(CODE, r"(?s)```.*?```|`[^`\n]+`");
pattern!(NAME, r"\b[A-Za-z_]\w{2,60}\b");

impl Signals {
    pub(crate) fn read(issue: &IssueText) -> Self {
        let body: String = issue.body.chars().take(MAX_BODY).collect();
        let text = format!("{}\n{body}", issue.title);
        let mut signals = Self::default();
        signals.read_frames(&text);
        signals.paths = unique(PATH.find_iter(&text).map(|found| found.as_str().replace('\\', "/")));
        signals.modules =
            unique(MODULE.find_iter(&text).map(|found| found.as_str().replace("::", "/").replace('.', "/")));
        signals.read_names(&text);
        for_each_word(&body, |word| signals.add_word(word, 1.0));
        for_each_word(&issue.title, |word| signals.add_word(word, TITLE_WEIGHT));
        // A word that is repeated a hundred times in a log is not a hundred times as telling.
        for weight in signals.words.values_mut() {
            *weight = weight.ln_1p();
        }
        let lower = text.to_lowercase();
        signals.about_tests = lower.contains("test suite") || lower.contains("failing test") || lower.contains("flaky");
        signals.about_docs = lower.contains("documentation") || lower.contains("typo") || lower.contains("readme");
        signals
    }

    fn add_word(&mut self, word: &str, weight: f32) {
        *self.words.entry(word.to_owned()).or_default() += weight;
    }

    fn read_frames(&mut self, text: &str) {
        let python = PYTHON_FRAME
            .captures_iter(text)
            .map(|found| (found[1].replace('\\', "/"), found.get(2).map(|name| name.as_str().to_owned())));
        // Python prints the innermost frame last, most others first.
        let mut frames: Vec<_> = python.collect();
        frames.reverse();
        let java =
            JAVA_FRAME.captures_iter(text).map(|found| (format!("{}/{}", package_of(&found[1]), &found[2]), None));
        frames.extend(java);
        let other = OTHER_FRAME.captures_iter(text).map(|found| {
            let function = found.get(1).and_then(|name| name.as_str().rsplit(['.', ':']).next().map(str::to_owned));
            (found[2].replace('\\', "/"), function)
        });
        frames.extend(other);
        let mut seen = std::collections::HashSet::new();
        frames.retain(|frame| seen.insert(frame.clone()));
        self.frames = frames;
    }

    fn read_names(&mut self, text: &str) {
        let mut names: Vec<String> = Vec::new();
        for code in CODE.find_iter(text) {
            names.extend(NAME.find_iter(code.as_str()).map(|name| name.as_str().to_owned()));
        }
        names.extend(NAME.find_iter(text).map(|name| name.as_str().to_owned()).filter(|name| looks_like_code(name)));
        self.names = unique(names.into_iter());
    }
}

/// `com.acme.Parser.` is `com/acme`.
fn package_of(class: &str) -> String {
    let parts: Vec<&str> = class.trim_end_matches('.').split('.').collect();
    parts[..parts.len().saturating_sub(1)].join("/")
}

/// Mixed case or an underscore inside: nobody writes prose like that.
fn looks_like_code(name: &str) -> bool {
    let inner = &name[1..];
    let camel = inner.bytes().any(|b| b.is_ascii_uppercase()) && name.bytes().any(|b| b.is_ascii_lowercase());
    camel || inner.trim_end_matches('_').contains('_')
}

fn unique(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    items.filter(|item| seen.insert(item.clone())).take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_innermost_first() {
        let text = "Traceback (most recent call last):\n  File \"app/main.py\", line 3, in run\n    go()\n  File \"/usr/lib/site-packages/lib/core.py\", line 9, in go\n    raise X\n";
        let frames = Signals::read(&IssueText::new("", text)).frames;
        assert_eq!(frames[0], ("/usr/lib/site-packages/lib/core.py".to_owned(), Some("go".to_owned())));
        assert_eq!(frames[1].0, "app/main.py");
        let node = Signals::read(&IssueText::new("", "    at Parser.parse (/app/src/parser.js:10:5)")).frames;
        assert_eq!(node[0], ("/app/src/parser.js".to_owned(), Some("parse".to_owned())));
        let java = Signals::read(&IssueText::new("", "\tat com.acme.io.Reader.read(Reader.java:42)")).frames;
        assert_eq!(java[0].0, "com/acme/io/Reader.java");
        let rust = Signals::read(&IssueText::new("", "  --> src/main.rs:4:9")).frames;
        assert_eq!(rust[0].0, "src/main.rs");
    }

    #[test]
    fn names_are_found_in_prose_and_code() {
        let signals =
            Signals::read(&IssueText::new("parseUrl fails", "with `host` in `a.b_c`, see src/x.py and http.client"));
        for name in ["parseUrl", "host", "b_c"] {
            assert!(signals.names.iter().any(|other| other == name), "{name}: {:?}", signals.names);
        }
        assert!(signals.paths.contains(&"src/x.py".to_owned()));
        assert!(signals.modules.contains(&"http/client".to_owned()));
    }
}
