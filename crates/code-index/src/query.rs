//! What the text of an issue says about files: paths, modules, stack frames, names, words.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use regex::Captures;

use crate::language::is_prose;
use crate::pattern::pattern;
use crate::words::{Word, count, is_cjk, literal, threes, whole};

/// The text of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    title: String,
    body: String,
    labels: Vec<String>,
}

impl IssueText {
    /// A title and a body; either may be empty.
    pub fn new(title: impl Into<String>, body: impl Into<String>) -> Self {
        Self { title: title.into(), body: body.into(), labels: Vec::new() }
    }

    /// The same with labels: those that name a part of the product say where to look.
    #[must_use]
    pub fn with_labels(mut self, labels: &[String]) -> Self {
        self.labels = labels.to_vec();
        self
    }

    /// A text whose first line is its title.
    pub fn of(text: &str) -> Self {
        let (title, body) = text.split_once('\n').unwrap_or((text, ""));
        Self::new(title, body)
    }
}

/// How much is read, in characters: reports paste whole logs.
const MAX_TITLE: usize = 300;
const MAX_TEXT: usize = 20_000;
/// How much of what stands under "environment" is read where a stack trace is in it.
const MAX_REST: usize = 8_000;

/// What the text says.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Words of the title, and of all, with how often they stand there.
    pub(crate) title: HashMap<Word, f32>,
    pub(crate) all: HashMap<Word, f32>,
    /// Plain words in lower case, for file names.
    pub(crate) plain: HashMap<String, f32>,
    /// The same of the title only.
    pub(crate) plain_title: Vec<String>,
    /// Paths and file names as written, with how often. In order, as all that is added up: the same text must make the same
    /// sums to the last digit.
    pub(crate) paths: BTreeMap<String, f32>,
    /// Files of stack frames, innermost first, with the function when it is said.
    pub(crate) frames: Vec<(String, Option<String>)>,
    /// Dotted or `::` names, with how often; aliases of imports are resolved.
    pub(crate) dotted: BTreeMap<String, f32>,
    /// Identifiers with how much each looks like one that is meant.
    pub(crate) names: BTreeMap<String, f32>,
    /// Messages in threes of words, flags and keys, as literals of the source may hold them.
    pub(crate) literals: HashSet<Word>,
    /// What the reporter's sample defines.
    own: BTreeSet<String>,
    pub(crate) about_tests: bool,
    pub(crate) about_docs: bool,
}

pattern!(HIDDEN, r"(?s)<!--.*?-->");
pattern!(
    SURROUNDINGS,
    r"(?im)^\s*(?:#+\s*|\*\*)?(?:versions?(?: ?/ ?dependencies| information)?|output of .{0,40}show_versions.*|system(?: information| info)?|environment(?: info(?:rmation)?)?|matplotlib version.*|operating system.*|pip list|installation|package versions.*|your environment.*|环境(?:信息)?|版本(?:信息)?)\s*(?:\*\*)?[:：]?\s*$"
);
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
pattern!(
    PATH,
    r"[\w.~\-]*(?:[/\\][\w.\-]+)*[/\\]?[\w\-]+\.(?:py|pyx|pxd|pyi|rs|go|tsx|ts|jsx|js|mjs|java|kt|scala|cs|c|h|cc|cpp|hpp|rb|php|swift|vue|html|css|cfg|toml|ini|ya?ml|json|md|rst|sql|sh)\b"
);
// ASCII only: a Chinese sentence goes on right behind a name.
pattern!(DOTTED, r"[A-Za-z_][A-Za-z0-9_]*(?:(?:\.|::)[A-Za-z_][A-Za-z0-9_]*)+");
pattern!(FENCE, r"(?s)```[^\n]*\n(.*?)(?:```|\z)|<pre[^>]*>(.*?)</pre>|<code[^>]*>(.*?)</code>");
pattern!(TICK, r"`{1,2}([^`\n]{2,80})`{1,2}");
pattern!(FLAG, r#"(?:^|[\s`'\"=(\[])--([a-zA-Z][A-Za-z0-9_-]+)"#);
pattern!(KEY, r"[\w./:-]*[\w]");
pattern!(
    SAMPLE_DEFINITION,
    r"(?m)^\s*(?:>>> |\.\.\. )?(?:(?:export|public|pub|async|static) +)*(?:class|def|func|function|fn|struct|interface) +([A-Za-z_]\w*)"
);
pattern!(CALL, r"([A-Za-z_][A-Za-z0-9_]*)\s*\(");
pattern!(NAME, r"[A-Za-z_][A-Za-z0-9_]*");
pattern!(
    SAMPLE_IMPORT,
    r"(?m)^\s*(?:>>> |\.\.\. |In ?\[\d+\]: )?(?:from\s+([\w.]+)\s+import\s+([^\n#;]+)|import\s+([\w.]+)(?:\s+as\s+(\w+))?)"
);

/// What people call well-known modules in samples without their imports.
const ALIASES: &[(&str, &str)] = &[
    ("plt", "matplotlib.pyplot"),
    ("mpl", "matplotlib"),
    ("sns", "seaborn"),
    ("xr", "xarray"),
    ("sp", "sympy"),
    ("np", "numpy"),
    ("pd", "pandas"),
    ("tf", "tensorflow"),
];

impl Query {
    pub(crate) fn read(issue: &IssueText) -> Self {
        let title: String = issue.title.chars().take(MAX_TITLE).collect();
        let body = issue.body.replace("\r\n", "\n");
        let body = without_surroundings(&HIDDEN.replace_all(&body, " "));
        let text: String = format!("{title}\n{body}").chars().take(MAX_TEXT + MAX_REST).collect();
        let labels: Vec<&str> = issue.labels.iter().map(String::as_str).filter(|label| tells(label)).collect();
        let mut query =
            Self { title: count(&title), all: count(&format!("{text}\n{}", labels.join("\n"))), ..Self::default() };
        for name in labels.iter().flat_map(|label| NAME.find_iter(label)) {
            *query.plain.entry(name.as_str().to_lowercase()).or_default() += 1.0;
        }
        for name in NAME.find_iter(&text) {
            *query.plain.entry(name.as_str().to_lowercase()).or_default() += 1.0;
        }
        query.plain_title = NAME.find_iter(&title).map(|name| name.as_str().to_lowercase()).collect();
        query.read_literals(&text);
        query.read_frames(&text);
        let rest = PYTHON_FRAME.replace_all(&text, " ");
        for path in PATH.find_iter(&rest) {
            let weight = if title.contains(path.as_str()) { 2.0 } else { 1.0 };
            let path = path.as_str().replace('\\', "/");
            // A Chinese sentence runs into a path without a space, and a folder may have a Chinese name: both are tried.
            let bare = path.trim_start_matches(is_cjk);
            if bare.len() < path.len() && bare.len() > 3 {
                *query.paths.entry(bare.to_owned()).or_default() += weight;
            }
            *query.paths.entry(path).or_default() += weight;
        }
        query.read_dotted(&title, &text);
        query.read_names(&title, &text);
        let says = |text: &str, words: &[&str]| {
            let lower = text.to_lowercase();
            words.iter().any(|word| lower.contains(word))
        };
        query.about_tests = says(&text, ABOUT_TESTS);
        query.about_docs = says(&title, ABOUT_DOCS);
        query
    }

    /// Whether a file that is no source is meant: the text names it, or is about such files.
    pub(crate) fn means(&self, path: &str) -> bool {
        let ends = |named: &String| {
            path.strip_suffix(named.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        (self.about_docs && is_prose(path)) || self.paths.keys().any(ends)
    }

    fn read_literals(&mut self, text: &str) {
        threes(text, |three| {
            self.literals.insert(three);
        });
        self.literals.extend(KEY.find_iter(text).filter_map(|key| literal(key.as_str())));
        for flag in FLAG.captures_iter(text) {
            // `--dry-run` is read into something called `dry_run`.
            let name = flag[1].replace('-', "_");
            *self.all.entry(whole(&name)).or_default() += 1.0;
            self.add_name(&name, 1.5);
        }
    }

    fn read_frames(&mut self, text: &str) {
        let place = |found: &Captures<'_>| found.get(0).map_or(0, |whole| whole.start());
        let path = |text: &str| text.replace('\\', "/");
        let mut python: Vec<(usize, String, Option<String>)> = Vec::new();
        for found in PYTHON_FRAME.captures_iter(text).chain(NOTEBOOK_FRAME.captures_iter(text)) {
            python.push((place(&found), path(&found[1]), found.get(2).map(|name| name.as_str().to_owned())));
        }
        python.extend(LINE_FRAME.captures_iter(text).map(|found| (place(&found), path(&found[1]), None)));
        python.sort();
        // Python prints the innermost frame last, most others first.
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
        let mut seen = std::collections::HashSet::new();
        frames.retain(|frame| seen.insert(frame.0.clone()));
        self.frames = frames;
    }

    fn read_dotted(&mut self, title: &str, text: &str) {
        let mut aliases: HashMap<String, String> =
            ALIASES.iter().map(|(short, long)| ((*short).to_owned(), (*long).to_owned())).collect();
        let mut imported = Vec::new();
        for found in SAMPLE_IMPORT.captures_iter(text) {
            if let (Some(module), Some(names)) = (found.get(1), found.get(2)) {
                for part in names.as_str().replace(['(', ')', '\\'], " ").split(',') {
                    let mut words = part.split_whitespace();
                    let Some(name) = words.next().filter(|name| NAME.is_match(name)) else { continue };
                    let alias = if words.next() == Some("as") { words.next().unwrap_or(name) } else { name };
                    let whole = format!("{}.{name}", module.as_str());
                    aliases.insert(alias.to_owned(), whole.clone());
                    imported.push(whole);
                }
            } else if let Some(module) = found.get(3) {
                if let Some(alias) = found.get(4) {
                    aliases.insert(alias.as_str().to_owned(), module.as_str().to_owned());
                }
                imported.push(module.as_str().to_owned());
            }
        }
        for found in DOTTED.find_iter(text) {
            let before = text[..found.start()].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '/')) {
                continue;
            }
            let name = found.as_str().replace("::", ".");
            let (head, rest) = name.split_once('.').unwrap_or((&name, ""));
            let name = aliases.get(head).map_or_else(|| name.clone(), |long| format!("{long}.{rest}"));
            *self.dotted.entry(name).or_default() += if found.start() < title.len() { 3.0 } else { 1.0 };
        }
        for name in imported {
            self.dotted.entry(name).or_insert(1.0);
        }
    }

    fn read_names(&mut self, title: &str, text: &str) {
        let code: String = FENCE
            .captures_iter(text)
            .filter_map(|found| found.iter().skip(1).flatten().next().map(|part| format!("{}\n", part.as_str())))
            .collect();
        let prose = FENCE.replace_all(text, " ");
        // What the reporter's own sample defines is the reporter's, however often it is used.
        self.own = SAMPLE_DEFINITION.captures_iter(&code).map(|found| found[1].to_owned()).collect();
        for name in NAME.find_iter(title).map(|name| name.as_str()) {
            let weight = match () {
                () if looks_like_code(name) => 3.0,
                () if name.starts_with(|c: char| c.is_uppercase()) && name[1..].chars().all(char::is_lowercase) => 1.0,
                () => 0.6,
            };
            self.add_name(name, weight);
        }
        for quoted in TICK.captures_iter(&prose) {
            for name in NAME.find_iter(&quoted[1]) {
                self.add_name(name.as_str(), 2.0);
            }
        }
        for name in NAME.find_iter(&prose).map(|name| name.as_str()) {
            if looks_like_code(name) {
                self.add_name(name, 1.5);
            } else if name.starts_with(|c: char| c.is_uppercase()) && name.len() > 3 {
                self.add_name(name, 0.3);
            }
        }
        for (part, weight) in [(prose.as_ref(), 1.5), (code.as_str(), 0.8)] {
            for call in CALL.captures_iter(part) {
                self.add_name(&call[1], weight);
            }
        }
        for name in NAME.find_iter(&code).map(|name| name.as_str()) {
            self.add_name(name, if looks_like_code(name) { 0.8 } else { 0.2 });
        }
    }

    fn add_name(&mut self, name: &str, weight: f32) {
        if name.len() >= 3 && !self.own.contains(name) {
            let known = self.names.entry(name.to_owned()).or_default();
            *known = known.max(weight);
        }
    }
}

/// The text up to where people list what they have installed; a stack trace below that is read too.
fn without_surroundings(body: &str) -> String {
    let Some(cut) = SURROUNDINGS.find_iter(body).find(|found| found.start() > 200) else { return body.to_owned() };
    let (text, rest) = body.split_at(cut.start());
    if rest.contains("Traceback") || rest.contains("File \"") {
        return format!("{text}{}", rest.chars().take(MAX_REST).collect::<String>());
    }
    text.to_owned()
}

/// What is said where tests themselves are meant, and in titles where documentation is.
const ABOUT_TESTS: &[&str] = &["test suite", "failing test", "flaky", "测试用例", "单元测试"];
const ABOUT_DOCS: &[&str] = &["documentation", "docs", "typo", "readme", "changelog", "文档", "拼写"];

/// Labels of every tracker, which say what kind of issue it is, and not where.
const KINDS: &[&str] = &[
    "bug",
    "enhancement",
    "feature",
    "question",
    "good first issue",
    "help wanted",
    "duplicate",
    "invalid",
    "wontfix",
    "documentation",
    "needs triage",
    "triage",
    "confirmed",
    "regression",
    "缺陷",
    "需求",
    "任务",
];

/// Whether a label says where to look.
fn tells(label: &str) -> bool {
    let lower = label.to_lowercase();
    !KINDS.contains(&lower.trim_start_matches("type:").trim_start_matches("kind/").trim())
        && !["priority", "status", "severity", "p0", "p1", "p2", "p3", "patchwright"]
            .iter()
            .any(|kind| lower.starts_with(kind))
}

/// Mixed case or an underscore inside: nobody writes prose like that.
fn looks_like_code(name: &str) -> bool {
    let camel = name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let capitals = name
        .as_bytes()
        .windows(3)
        .any(|three| three[0].is_ascii_uppercase() && three[1].is_ascii_uppercase() && three[2].is_ascii_lowercase());
    camel || capitals || name.trim_matches('_').contains('_') || (name.starts_with('_') && name.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(title: &str, body: &str) -> Query {
        Query::read(&IssueText::new(title, body))
    }

    #[test]
    fn frames_come_innermost_first() {
        let text = "Traceback (most recent call last):\n  File \"app/main.py\", line 3, in run\n    go()\n  File \"/usr/lib/site-packages/lib/core.py\", line 9, in go\n    raise X\n";
        let frames = read("", text).frames;
        assert_eq!(frames[0], ("/usr/lib/site-packages/lib/core.py".to_owned(), Some("go".to_owned())));
        assert_eq!(frames[1].0, "app/main.py");
        let node = read("", "    at Parser.parse (/app/src/parser.js:10:5)").frames;
        assert_eq!(node[0], ("/app/src/parser.js".to_owned(), Some("parse".to_owned())));
        let java = read("", "\tat com.acme.io.Reader.read(Reader.java:42)").frames;
        assert_eq!(java[0], ("com/acme/io/Reader.java".to_owned(), Some("read".to_owned())));
        assert_eq!(read("", "  --> src/main.rs:4:9").frames[0].0, "src/main.rs");
        let frame = |text: &str| read("", text).frames[0].clone();
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

    #[test]
    fn names_paths_and_modules_are_found_in_prose_and_code() {
        let query = read(
            "parseUrl fails",
            "with `host` in `a.b_c`, see src/x.py\n```python\nimport numpy as q\nfrom a.b import C as D\nD.run(q.ones(3))\n```\n",
        );
        for name in ["parseUrl", "host", "b_c", "run"] {
            assert!(query.names.contains_key(name), "{name}: {:?}", query.names);
        }
        assert!(query.paths.contains_key("src/x.py"));
        for dotted in ["a.b_c", "a.b.C.run", "numpy.ones", "a.b.C"] {
            assert!(query.dotted.contains_key(dotted), "{dotted}: {:?}", query.dotted);
        }
        assert!(read("", "std::fmt::Display fails").dotted.contains_key("std.fmt.Display"));
    }

    #[test]
    fn what_people_have_installed_is_not_what_they_speak_of() {
        let body = format!("{}\n### Environment\nparse_requirements 3.1\n", "It breaks. ".repeat(30));
        assert!(!read("", &body).names.contains_key("parse_requirements"));
    }

    #[test]
    fn flags_keys_and_messages_are_found_as_literals() {
        let query = read("--dry-run is ignored", "With `cache.max_size` set it says \"cannot open the index file\".");
        assert!(query.names.contains_key("dry_run"), "{:?}", query.names);
        for text in ["--dry-run", "cache.max_size"] {
            assert!(query.literals.contains(&literal(text).unwrap()), "{text}");
        }
        threes("cannot open the index file {}", |three| assert!(query.literals.contains(&three)));
        assert!(literal("plain").is_none() && literal("two words").is_none());
    }

    #[test]
    fn labels_that_name_a_part_of_the_product_count_and_kinds_of_issues_do_not() {
        let labels = ["area: checkout", "bug", "priority/high", "缺陷"].map(str::to_owned);
        let query = Query::read(&IssueText::new("It breaks", "").with_labels(&labels));
        assert!(query.plain.contains_key("checkout"));
        assert!(!query.plain.contains_key("bug") && !query.plain.contains_key("priority"), "{:?}", query.plain);
    }

    #[test]
    fn what_the_sample_itself_defines_is_the_reporters() {
        let query = read("Fails", "```python\nclass Thing(Model):\n    pass\n\nThing.load_all(make_query())\n```\n");
        assert!(!query.names.contains_key("Thing") && query.names.contains_key("load_all"), "{:?}", query.names);
    }

    #[test]
    fn identifiers_paths_and_frames_are_found_inside_chinese_sentences() {
        let query = read(
            "调用parse_header函数时崩溃",
            "请看src/http/header.py，在HeaderReader类里；堆栈：\n  File \"src/http/body.py\", line 3, in read_all\n环境：\n",
        );
        assert!(query.names.contains_key("parse_header"), "{:?}", query.names);
        assert!(query.names.contains_key("HeaderReader"), "{:?}", query.names);
        assert!(query.paths.contains_key("src/http/header.py"), "{:?}", query.paths);
        assert_eq!(query.frames, [("src/http/body.py".to_owned(), Some("read_all".to_owned()))]);
    }
}
