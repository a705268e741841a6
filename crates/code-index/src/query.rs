//! Parsing the text of an issue: paths, modules, stack frames, names, literals and words.

mod frames;
mod lines;
mod positions;
mod template;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use patchwright_core::code_index::ExecutedFunction;

use self::frames::{find_frames, has_frame, without_frames};
use self::lines::find_code;
pub(crate) use self::positions::Position;
use self::positions::find_positions;
use self::template::without_template;
use crate::language::is_prose;
use crate::pattern::pattern;
use crate::words::{Word, count_words, hash_identifier, hash_literal, is_cjk, trigrams};

/// The title, body and labels of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    title: String,
    body: String,
    labels: Vec<String>,
}

impl IssueText {
    /// Creates a text from a title and a body; either may be empty.
    pub fn new(title: impl Into<String>, body: impl Into<String>) -> Self {
        Self { title: title.into(), body: body.into(), labels: Vec::new() }
    }

    /// Adds labels. Those that name a component count as words of the text; labels for kinds and priorities are ignored.
    #[must_use]
    pub fn with_labels(mut self, labels: &[String]) -> Self {
        self.labels = labels.to_vec();
        self
    }

    /// Creates a text whose first line is the title.
    pub fn from_text(text: &str) -> Self {
        let (title, body) = text.split_once('\n').unwrap_or((text, ""));
        Self::new(title, body)
    }
}

/// The longest title and text that are parsed. Reports can contain whole logs.
const MAX_TITLE_CHARS: usize = 300;
const MAX_TEXT_CHARS: usize = 20_000;
/// The longest part of an "environment" section that is parsed if it contains a stack trace.
const MAX_ENVIRONMENT_CHARS: usize = 8_000;
/// The position in bytes before which a heading does not start an environment section.
const MIN_ENVIRONMENT_START: usize = 200;

/// The parsed text of an issue. Maps whose values are added up are sorted, so that sums are reproducible to the last digit.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// The words of the title, and of the whole text, with their counts.
    pub(crate) title: HashMap<Word, f32>,
    pub(crate) all: HashMap<Word, f32>,
    /// Unsplit words in lower case with their counts, to compare with file names.
    pub(crate) plain: HashMap<String, f32>,
    /// Unsplit words of the title in lower case.
    pub(crate) plain_title: Vec<String>,
    /// Paths and file names as written, with their counts.
    pub(crate) paths: BTreeMap<String, f32>,
    /// The words of the text as they stand between spaces and quotes: any of them may be a path.
    tokens: BTreeSet<String>,
    /// The files of stack frames, innermost first, with the function if it is named.
    pub(crate) frames: Vec<(String, Option<String>)>,
    /// The lines of files that the text names.
    pub(crate) positions: Vec<Position>,
    /// Lines that may stand in the source as they are.
    pub(crate) code_lines: HashSet<String>,
    /// Names with `.` or `::`, with their counts; aliases of imports are resolved.
    pub(crate) dotted: BTreeMap<String, f32>,
    /// Identifiers with a weight for how likely each refers to code.
    pub(crate) names: BTreeMap<String, f32>,
    /// Flags, keys and trigrams of messages, which may be literals in the source.
    pub(crate) literals: HashSet<Word>,
    /// The names that the reporter's code sample defines.
    sample_definitions: BTreeSet<String>,
    /// What was executed while the text's samples ran.
    pub(crate) executed: Vec<ExecutedFunction>,
    pub(crate) about_tests: bool,
    pub(crate) about_docs: bool,
}

pattern!(COMMENT, r"(?s)<!--.*?-->");
pattern!(
    ENVIRONMENT,
    r"(?im)^\s*(?:#+\s*|\*\*)?(?:versions?(?: ?/ ?dependencies| information)?|output of .{0,40}show_versions.*|system(?: information| info)?|environment(?: info(?:rmation)?)?|matplotlib version.*|operating system.*|pip list|installation|package versions.*|your environment.*|环境(?:信息)?|版本(?:信息)?)\s*(?:\*\*)?[:：]?\s*$"
);
pattern!(
    PATH,
    r"[\w.~\-]*(?:[/\\][\w.\-]+)*[/\\]?[\w\-]+\.(?:py|pyx|pxd|pyi|rs|go|tsx|ts|jsx|js|mjs|java|kt|scala|cs|c|h|cc|cpp|hpp|rb|php|swift|vue|html|css|cfg|toml|ini|ya?ml|json|md|rst|sql|sh)\b"
);
// ASCII only, because Chinese text follows a name without a space.
pattern!(DOTTED, r"[A-Za-z_][A-Za-z0-9_]*(?:(?:\.|::)[A-Za-z_][A-Za-z0-9_]*)+");
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

/// Customary aliases of modules, for samples without imports.
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

/// How much a word in a sample counts beside one in a sentence or a stack trace.
const SAMPLE_SHARE: f32 = 0.7;
/// How much a stack frame counts less than the one within it.
const FRAME_DECAY: f64 = 0.8;
/// The shortest line that is compared with the source.
const MIN_LINE_BYTES: usize = 12;
/// How many files of one name are taken for the one that a text names.
const MAX_NAMESAKES: usize = 5;

/// Returns whether a character ends a path in a text.
fn is_around_path(c: char) -> bool {
    c.is_whitespace() || is_cjk(c) || "`'\"()[]{}<>|,;*，。、；：（）「」".contains(c)
}

fn trim_path(token: &str) -> String {
    token.trim_end_matches(['.', ':', '!', '?']).trim_start_matches("./").replace('\\', "/")
}

impl Query {
    /// Returns how much the stack frame of a function in a file counts, by the number of frames within it; 0 without one.
    pub(crate) fn weigh_frame(&self, path: &str, function: &str) -> f64 {
        let depth = self.frames.iter().position(|(frame, called)| {
            called.as_deref().is_some_and(|called| called.rsplit('.').next() == Some(function))
                && (path.ends_with(frame.as_str()) || frame.ends_with(path))
        });
        depth.map_or(0.0, |depth| FRAME_DECAY.powi(i32::try_from(depth).unwrap_or(i32::MAX)))
    }

    /// Parses the text of an issue.
    pub(crate) fn parse(issue: &IssueText) -> Self {
        let title: String = issue.title.chars().take(MAX_TITLE_CHARS).collect();
        let body = issue.body.replace("\r\n", "\n");
        let body = without_template(&without_environment(&COMMENT.replace_all(&body, " ")));
        let text: String = format!("{title}\n{body}").chars().take(MAX_TEXT_CHARS + MAX_ENVIRONMENT_CHARS).collect();
        let labels = issue.labels.iter().map(String::as_str).filter(|label| names_component(label));
        let labels: Vec<&str> = labels.collect();
        let parts = Parts::of(&text);
        let mut all = count_words(&format!("{}{}{}", parts.prose, parts.trace, labels.join("\n")));
        for (word, count) in count_words(&parts.sample) {
            *all.entry(word).or_default() += SAMPLE_SHARE * count;
        }
        let mut query = Self { title: count_words(&title), all, ..Self::default() };
        query.code_lines = text.lines().map(as_source).filter(|line| is_distinct(line)).map(str::to_owned).collect();
        for name in labels.iter().flat_map(|label| NAME.find_iter(label)) {
            *query.plain.entry(name.as_str().to_lowercase()).or_default() += 1.0;
        }
        for name in NAME.find_iter(&text) {
            *query.plain.entry(name.as_str().to_lowercase()).or_default() += 1.0;
        }
        query.plain_title = NAME.find_iter(&title).map(|name| name.as_str().to_lowercase()).collect();
        query.parse_literals(&text);
        query.frames = find_frames(&text);
        query.positions = find_positions(&text);
        let rest = without_frames(&text);
        for path in PATH.find_iter(&rest) {
            let weight = if title.contains(path.as_str()) { 2.0 } else { 1.0 };
            let path = path.as_str().replace('\\', "/");
            // Chinese text precedes a path without a space, and a folder may have a Chinese name: both are added.
            let ascii = path.trim_start_matches(is_cjk);
            if ascii.len() < path.len() && ascii.len() > 3 {
                *query.paths.entry(ascii.to_owned()).or_default() += weight;
            }
            *query.paths.entry(path).or_default() += weight;
        }
        query.tokens = rest.split(is_around_path).map(trim_path).filter(|token| token.len() > 2).collect();
        query.parse_dotted(&title, &text);
        query.parse_names(&title, &parts.prose, &format!("{}{}", parts.trace, parts.sample));
        let contains = |text: &str, phrases: &[&str]| {
            let lower = text.to_lowercase();
            phrases.iter().any(|phrase| contains_words(&lower, phrase))
        };
        query.about_tests = contains(&text, ABOUT_TESTS);
        query.about_docs = contains(&title, ABOUT_DOCS);
        query
    }

    /// Takes the files of a tree that the text names and whose kind is not known: their names are no paths for anybody who has not
    /// seen the tree.
    pub(crate) fn add_named_files<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for path in paths.filter(|path| !PATH.is_match(path)) {
            let name = path.rsplit('/').next().unwrap_or(path);
            let is_distinct = name.contains('.') || name.starts_with(char::is_uppercase);
            if self.tokens.contains(path) {
                *self.paths.entry(path.to_owned()).or_default() += 1.0;
            } else if is_distinct && self.tokens.contains(name) {
                named.entry(name).or_default().push(path);
            }
        }
        // A name that many files have says nothing.
        for path in named.into_values().filter(|paths| paths.len() <= MAX_NAMESAKES).flatten() {
            *self.paths.entry(path.to_owned()).or_default() += 1.0;
        }
    }

    /// Returns whether the text asks for a file that is not source code: by its path, or because it is about documentation.
    pub(crate) fn asks_for(&self, path: &str) -> bool {
        (self.about_docs && is_prose(path)) || self.names(path)
    }

    /// Returns whether the text names a file by its path or the end of it.
    pub(crate) fn names(&self, path: &str) -> bool {
        let is_suffix = |named: &String| {
            path.strip_suffix(named.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        self.paths.keys().any(is_suffix)
    }

    fn parse_literals(&mut self, text: &str) {
        trigrams(text, |trigram| {
            self.literals.insert(trigram);
        });
        self.literals.extend(KEY.find_iter(text).filter_map(|key| hash_literal(key.as_str())));
        for flag in FLAG.captures_iter(text) {
            // The variable for `--dry-run` is usually called `dry_run`.
            let name = flag[1].replace('-', "_");
            *self.all.entry(hash_identifier(&name)).or_default() += 1.0;
            self.add_name(&name, 1.5);
        }
    }

    fn parse_dotted(&mut self, title: &str, text: &str) {
        let mut aliases: HashMap<String, String> =
            ALIASES.iter().map(|(short, long)| ((*short).to_owned(), (*long).to_owned())).collect();
        let mut imported = Vec::new();
        for found in SAMPLE_IMPORT.captures_iter(text) {
            if let (Some(module), Some(names)) = (found.get(1), found.get(2)) {
                for part in names.as_str().replace(['(', ')', '\\'], " ").split(',') {
                    let mut words = part.split_whitespace();
                    let Some(name) = words.next().filter(|name| NAME.is_match(name)) else { continue };
                    let alias = if words.next() == Some("as") { words.next().unwrap_or(name) } else { name };
                    let qualified = format!("{}.{name}", module.as_str());
                    aliases.insert(alias.to_owned(), qualified.clone());
                    imported.push(qualified);
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

    fn parse_names(&mut self, title: &str, prose: &str, code: &str) {
        // Names that the sample defines are not in the repository, however often the sample uses them.
        self.sample_definitions = SAMPLE_DEFINITION.captures_iter(code).map(|found| found[1].to_owned()).collect();
        for name in NAME.find_iter(title).map(|name| name.as_str()) {
            let weight = match () {
                () if looks_like_code(name) => 3.0,
                () if name.starts_with(|c: char| c.is_uppercase()) && name[1..].chars().all(char::is_lowercase) => 1.0,
                () => 0.6,
            };
            self.add_name(name, weight);
        }
        for quoted in TICK.captures_iter(prose) {
            for name in NAME.find_iter(&quoted[1]) {
                self.add_name(name.as_str(), 2.0);
            }
        }
        for name in NAME.find_iter(prose).map(|name| name.as_str()) {
            if looks_like_code(name) {
                self.add_name(name, 1.5);
            } else if name.starts_with(|c: char| c.is_uppercase()) && name.len() > 3 {
                self.add_name(name, 0.3);
            }
        }
        for (part, weight) in [(prose, 1.5), (code, 0.8)] {
            for call in CALL.captures_iter(part) {
                self.add_name(&call[1], weight);
            }
        }
        for name in NAME.find_iter(code).map(|name| name.as_str()) {
            self.add_name(name, if looks_like_code(name) { 0.8 } else { 0.2 });
        }
    }

    fn add_name(&mut self, name: &str, weight: f32) {
        if name.len() >= 3 && !self.sample_definitions.contains(name) {
            let known = self.names.entry(name.to_owned()).or_default();
            *known = known.max(weight);
        }
    }
}

/// The parts of a text.
#[derive(Default)]
struct Parts {
    /// With the title in the first line.
    prose: String,
    /// Samples of code, and output.
    sample: String,
    /// The lines of stack traces.
    trace: String,
}

impl Parts {
    fn of(text: &str) -> Self {
        let mut parts = Self::default();
        for (number, (line, is_code)) in text.lines().zip(find_code(text)).enumerate() {
            let part = match () {
                () if !is_code || number == 0 => &mut parts.prose,
                () if has_frame(line) => &mut parts.trace,
                () => &mut parts.sample,
            };
            part.push_str(line);
            part.push('\n');
        }
        parts
    }
}

/// Returns a line of a sample or a patch as it would stand in the source, without indentation.
fn as_source(line: &str) -> &str {
    let line = line.trim();
    let marks = [">>> ", "... ", "+ ", "- ", "> ", "$ "];
    marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim()
}

/// Returns whether a line is code that is unlikely to stand anywhere else.
fn is_distinct(line: &str) -> bool {
    line.len() >= MIN_LINE_BYTES && line.contains(['(', '=', '.', '[', ':'])
}

/// Removes the section about the reporter's environment and all after it, unless it contains a stack trace.
fn without_environment(body: &str) -> String {
    let heading = ENVIRONMENT.find_iter(body).find(|found| found.start() > MIN_ENVIRONMENT_START);
    let Some(heading) = heading else { return body.to_owned() };
    let (text, rest) = body.split_at(heading.start());
    if rest.contains("Traceback") || rest.contains("File \"") {
        return format!("{text}{}", rest.chars().take(MAX_ENVIRONMENT_CHARS).collect::<String>());
    }
    text.to_owned()
}

/// Phrases of texts about tests, and of titles about documentation.
const ABOUT_TESTS: &[&str] = &["test suite", "failing test", "flaky", "测试用例", "单元测试"];
const ABOUT_DOCS: &[&str] = &["documentation", "docs", "typo", "readme", "changelog", "文档", "拼写"];

/// Returns whether a text contains a phrase, whose ends are no parts of longer words: "docs" is not in "docstring".
fn contains_words(text: &str, phrase: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(phrase).any(|(at, found)| {
        let after = &text[at + found.len()..];
        let after = after.strip_prefix('s').unwrap_or(after);
        // Chinese has no spaces between words.
        !phrase.is_ascii() || !is_part(text[..at].chars().next_back()) && !is_part(after.chars().next())
    })
}

/// Common labels for the kind of an issue.
const KIND_LABELS: &[&str] = &[
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

/// Returns whether a label may name a component: it is not for a kind, a priority or a status.
fn names_component(label: &str) -> bool {
    let lower = label.to_lowercase();
    !KIND_LABELS.contains(&lower.trim_start_matches("type:").trim_start_matches("kind/").trim())
        && !["priority", "status", "severity", "p0", "p1", "p2", "p3", "patchwright"]
            .iter()
            .any(|kind| lower.starts_with(kind))
}

/// Returns whether a word has mixed case or an underscore, as identifiers have.
fn looks_like_code(name: &str) -> bool {
    let camel = name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let capitals = name.as_bytes().windows(3).any(|window| {
        window[0].is_ascii_uppercase() && window[1].is_ascii_uppercase() && window[2].is_ascii_lowercase()
    });
    camel || capitals || name.trim_matches('_').contains('_') || (name.starts_with('_') && name.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(title: &str, body: &str) -> Query {
        Query::parse(&IssueText::new(title, body))
    }

    #[test]
    fn names_paths_and_modules_are_found_in_prose_and_code() {
        let query = parse(
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
        assert!(parse("", "std::fmt::Display fails").dotted.contains_key("std.fmt.Display"));
    }

    #[test]
    fn a_title_is_about_documentation_only_in_whole_words() {
        let about_docs = |title: &str| parse(title, "").about_docs;
        assert!(about_docs("Typo in the README") && about_docs("docs: two typos") && about_docs("文档里有拼写错误"));
        assert!(!about_docs("The docstring of a property is lost") && !about_docs("Wrong typography in titles"));
        assert!(parse("", "It has 3 failing tests.").about_tests && !parse("", "A failing testimony.").about_tests);
    }

    #[test]
    fn names_of_an_unfenced_sample_count_less_than_those_of_sentences() {
        let query = parse("Fails", "Please look at load_cart first.\n>>> shop.open_page(make_request())\n");
        assert!(query.names["load_cart"] > query.names["open_page"], "{:?}", query.names);
        assert!(query.code_lines.contains("shop.open_page(make_request())"), "{:?}", query.code_lines);
    }

    #[test]
    fn the_environment_section_is_ignored() {
        let body = format!("{}\n### Environment\nparse_requirements 3.1\n", "It breaks. ".repeat(30));
        assert!(!parse("", &body).names.contains_key("parse_requirements"));
    }

    #[test]
    fn flags_keys_and_messages_are_found_as_literals() {
        let query = parse("--dry-run is ignored", "With `cache.max_size` set it says \"cannot open the index file\".");
        assert!(query.names.contains_key("dry_run"), "{:?}", query.names);
        for text in ["--dry-run", "cache.max_size"] {
            assert!(query.literals.contains(&hash_literal(text).unwrap()), "{text}");
        }
        trigrams("cannot open the index file {}", |trigram| assert!(query.literals.contains(&trigram)));
        assert!(hash_literal("plain").is_none() && hash_literal("two words").is_none());
    }

    #[test]
    fn labels_for_components_count_and_labels_for_kinds_do_not() {
        let labels = ["area: checkout", "bug", "priority/high", "缺陷"].map(str::to_owned);
        let query = Query::parse(&IssueText::new("It breaks", "").with_labels(&labels));
        assert!(query.plain.contains_key("checkout"));
        assert!(!query.plain.contains_key("bug") && !query.plain.contains_key("priority"), "{:?}", query.plain);
    }

    #[test]
    fn names_that_the_sample_defines_are_ignored() {
        let query = parse("Fails", "```python\nclass Thing(Model):\n    pass\n\nThing.load_all(make_query())\n```\n");
        assert!(!query.names.contains_key("Thing") && query.names.contains_key("load_all"), "{:?}", query.names);
    }

    #[test]
    fn identifiers_paths_and_frames_are_found_inside_chinese_sentences() {
        let query = parse(
            "调用parse_header函数时崩溃",
            "请看src/http/header.py，在HeaderReader类里；堆栈：\n  File \"src/http/body.py\", line 3, in read_all\n环境：\n",
        );
        assert!(query.names.contains_key("parse_header"), "{:?}", query.names);
        assert!(query.names.contains_key("HeaderReader"), "{:?}", query.names);
        assert!(query.paths.contains_key("src/http/header.py"), "{:?}", query.paths);
        assert_eq!(query.frames, [("src/http/body.py".to_owned(), Some("read_all".to_owned()))]);
    }
}
