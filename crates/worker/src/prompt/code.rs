//! The code that a plan is made from: bodies of the likely definitions, what they call and who calls them, the tests that
//! exercise them, and what the repository says about itself. Never whole files beyond a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use patchwright_core::code_index::{CodeIndex, Definition};
use patchwright_core::llm::count_tokens;
use patchwright_domain::RepoPath;
use regex::Regex;

use crate::excerpt::{Excerpt, extend_upwards};
use crate::repository::{Repository, SourceText, is_code};

/// A file that the issue is likely about, with its likeliest definitions: their names and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) path: RepoPath,
    pub(crate) symbols: Vec<(String, (u32, u32))>,
}

/// What is described, and in how many tokens.
pub(crate) struct CodeQuery<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) index: &'a dyn CodeIndex,
    pub(crate) focus: &'a [Focus],
    /// How tests are run here, for the model; empty if nobody knows.
    pub(crate) suites: &'a [String],
    /// The most tokens of all.
    pub(crate) room: usize,
}

/// Files up to this many lines are shown whole.
const SMALL_FILE_LINES: usize = 80;
/// A definition longer than this is shown by its first lines.
const MAX_BODY_LINES: usize = 160;
/// How many lines of a long class are shown, up to its first method.
const CLASS_HEAD_LINES: usize = 25;
/// How many definitions of one file are shown.
const MAX_BODIES: usize = 5;
/// The most lines of an outline, of calls, of callers and of test files.
const MAX_OUTLINE: usize = 25;
const MAX_CALLS: usize = 12;
const MAX_CALLERS: usize = 8;
const MAX_TEST_FILES: usize = 4;
const MAX_TEST_NAMES: usize = 6;
/// The longest test that is shown as an example, in lines.
const MAX_TEST_LINES: usize = 30;
/// Files in which a repository instructs whoever changes it.
const INSTRUCTIONS: [&str; 4] = ["AGENTS.md", "CONTRIBUTING.md", "CONTRIBUTING.rst", ".github/CONTRIBUTING.md"];
/// How much of the room the parts may take, in percent.
const BODIES_SHARE: usize = 60;
const TESTS_SHARE: usize = 20;
const INSTRUCTIONS_SHARE: usize = 8;

/// One focused file while it is described.
struct View<'a> {
    path: &'a str,
    text: String,
    definitions: Vec<Definition>,
    excerpt: Excerpt,
}

/// Renders the code for a prompt, as data.
pub(crate) fn describe_code(query: &CodeQuery<'_>) -> String {
    let mut views: Vec<View<'_>> = query.focus.iter().filter_map(|focus| open_view(query, focus)).collect();
    show_bodies(&mut views, query);
    let mut out = String::new();
    for view in &views {
        let _ = writeln!(out, "{}\n", view.render());
    }
    let mut left = query.room.saturating_sub(count_tokens(&out));
    let mut add = |text: String, share: usize| {
        let text = within(&text, left.min(query.room * share / 100));
        left = left.saturating_sub(count_tokens(&text));
        out.push_str(&text);
    };
    let names = focused_names(&views, query.focus);
    add(describe_tests(query, &views, &names), TESTS_SHARE);
    add(describe_calls(query, &views), 10);
    add(describe_callers(query, &names), 8);
    for view in &views {
        add(view.outline(), 8);
    }
    add(describe_instructions(query.repository), INSTRUCTIONS_SHARE);
    if !query.suites.is_empty() {
        out.push_str(&format!("Tests run here with: {}\n", query.suites.join(", ")));
    }
    out
}

/// Renders some files alone, as data.
pub(crate) fn describe_files(repository: &Repository, index: &dyn CodeIndex, focus: &[Focus], room: usize) -> String {
    let query = CodeQuery { repository, index, focus, suites: &[], room };
    let mut views: Vec<View<'_>> = focus.iter().filter_map(|focus| open_view(&query, focus)).collect();
    show_bodies(&mut views, &query);
    views.iter().map(|view| format!("{}\n{}", view.render(), view.outline())).collect()
}

fn open_view<'a>(query: &CodeQuery<'_>, focus: &'a Focus) -> Option<View<'a>> {
    let path = focus.path.as_str();
    let text = query.repository.read(path)?;
    let definitions = query.index.outline(path, &text);
    let excerpt = Excerpt::new(text.lines().count());
    Some(View { path, text, definitions, excerpt })
}

/// Shows bodies in turn: the best definition of each file, then the second of each, as far as there is room.
fn show_bodies(views: &mut [View<'_>], query: &CodeQuery<'_>) {
    let mut room = query.room * BODIES_SHARE / 100;
    for round in 0..MAX_BODIES {
        for (view, focus) in
            views.iter_mut().zip(query.focus.iter().filter(|focus| query.repository.contains(focus.path.as_str())))
        {
            let Some(range) = view.range_of(focus, round) else { continue };
            let lines: Vec<&str> = view.text.lines().collect();
            let new: String = view.excerpt.missing(&range).map(|line| format!("{}\n", lines[line])).collect();
            let cost = count_tokens(&new);
            if cost <= room {
                room -= cost;
                view.excerpt.show(range);
            }
        }
    }
    for view in views.iter_mut().filter(|view| view.excerpt.is_empty()) {
        // Something of each, so that it can be changed.
        let first = view.text.lines().count().min(12);
        view.excerpt.show(0..first);
    }
}

impl View<'_> {
    /// Returns the lines to show of the definition at a place of the order, from 0.
    fn range_of(&self, focus: &Focus, round: usize) -> Option<std::ops::Range<usize>> {
        let lines: Vec<&str> = self.text.lines().collect();
        if lines.len() <= SMALL_FILE_LINES {
            return (round == 0).then_some(0..lines.len());
        }
        let (name, found) = focus.symbols.get(round)?;
        // The definition may stand elsewhere than the index said, if another version was indexed.
        let known = self.definitions.iter().find(|known| known.name == *name).map_or(*found, |known| known.lines);
        let (from, to) = ((known.0 as usize).saturating_sub(1), (known.1 as usize).min(lines.len()));
        let length = to.saturating_sub(from);
        let to = if length > MAX_BODY_LINES { self.end_of_head(from, to) } else { to };
        Some(extend_upwards(&lines, from)..to.max(from))
    }

    /// Returns where the head of a long definition ends: before its first inner definition, or after some lines.
    fn end_of_head(&self, from: usize, to: usize) -> usize {
        let inner =
            self.definitions.iter().map(|inner| inner.lines.0 as usize - 1).find(|line| *line > from && *line < to);
        match inner {
            Some(line) => line.min(from + CLASS_HEAD_LINES),
            None => from + MAX_BODY_LINES,
        }
    }

    fn render(&self) -> String {
        let text = self.excerpt.render(&self.text).replace("</file>", "<\\/file>");
        // A part of a file is marked as one.
        let count = self.text.lines().count();
        let lines = if self.excerpt.is_whole() { String::new() } else { format!(" lines=\"{count}\"") };
        format!("<file path=\"{}\"{lines}>\n{text}</file>", self.path)
    }

    /// Renders what else the file defines.
    fn outline(&self) -> String {
        let is_hidden = |known: &&Definition| !self.excerpt.shows(known.lines.0 as usize - 1);
        let rest: Vec<String> = self
            .definitions
            .iter()
            .filter(is_hidden)
            .filter(|known| known.kind != "constant")
            .take(MAX_OUTLINE)
            .map(|known| format!("{}{}: {}", "  ".repeat(known.depth), known.lines.0, known.signature))
            .collect();
        if rest.is_empty() { String::new() } else { format!("Also in {}:\n{}\n\n", self.path, rest.join("\n")) }
    }
}

/// Returns the names of the definitions in focus that other code would use, the likeliest first.
fn focused_names(views: &[View<'_>], focus: &[Focus]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let symbols = focus.iter().flat_map(|focus| focus.symbols.iter().take(2).map(|(name, _)| name.clone()));
    let first = views.iter().filter(|view| view.text.lines().count() <= SMALL_FILE_LINES);
    let small = first.flat_map(|view| view.definitions.iter().take(2).map(|known| known.name.clone()));
    for name in symbols.chain(small) {
        let own = name.rsplit('.').next().unwrap_or(&name).to_owned();
        if own.len() > 2 && !own.starts_with("__") && !names.contains(&own) {
            names.push(own);
        }
    }
    names.truncate(4);
    names
}

/// Names that are called everywhere and say nothing.
const COMMON: [&str; 40] = [
    "if",
    "for",
    "while",
    "switch",
    "match",
    "return",
    "catch",
    "print",
    "len",
    "str",
    "int",
    "list",
    "dict",
    "set",
    "isinstance",
    "super",
    "range",
    "super",
    "append",
    "get",
    "map",
    "filter",
    "join",
    "format",
    "assert",
    "sizeof",
    "require",
    "Some",
    "Ok",
    "Err",
    "vec",
    "String",
    "push",
    "unwrap",
    "clone",
    "into",
    "test",
    "it",
    "describe",
    "expect",
];

/// Renders the declarations of what the shown bodies call.
fn describe_calls(query: &CodeQuery<'_>, views: &[View<'_>]) -> String {
    let call = Regex::new(r"\b([A-Za-z_]\w{2,})\s*\(").expect("the expression is valid");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let shown: Vec<String> = views.iter().map(|view| view.excerpt.render(&view.text)).collect();
    for text in &shown {
        for found in call.captures_iter(text) {
            let name = found.get(1).map_or("", |name| name.as_str());
            if !COMMON.contains(&name) {
                *counts.entry(name).or_default() += 1;
            }
        }
    }
    let mut lines = Vec::new();
    let mut known = BTreeSet::new();
    for view in views {
        for definition in &view.definitions {
            let own = definition.name.rsplit('.').next().unwrap_or(&definition.name);
            if counts.contains_key(own)
                && known.insert(own.to_owned())
                && !view.excerpt.shows(definition.lines.0 as usize - 1)
            {
                lines.push(format!("{}:{}: {}", view.path, definition.lines.0, definition.signature));
            }
        }
    }
    counts.retain(|name, _| !known.contains(*name));
    lines.extend(find_definitions(query.repository, &counts, views));
    lines.truncate(MAX_CALLS);
    if lines.is_empty() { String::new() } else { format!("What it calls:\n{}\n\n", lines.join("\n")) }
}

/// Finds the lines that define names, outside of the files in focus.
fn find_definitions(repository: &Repository, names: &BTreeMap<&str, usize>, views: &[View<'_>]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let define = Regex::new(
        r"^\s*(?:[\w()]+\s+)*?(?:def|fn|func|function|class|struct|trait|interface)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)",
    )
    .expect("the expression is valid");
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let others = repository.searched().iter().filter(|source| {
        is_code(&source.path) && !is_test(&source.path) && views.iter().all(|view| view.path != source.path)
    });
    for SourceText { path, text } in others {
        for (number, line) in text.lines().enumerate() {
            let Some(name) = define.captures(line).and_then(|found| found.get(1)) else { continue };
            if let Some((name, _)) = names.get_key_value(name.as_str()) {
                let signature: String = line.trim().trim_end_matches(['{', ':', ' ']).chars().take(140).collect();
                found.entry(name).or_default().push(format!("{path}:{}: {signature}", number + 1));
            }
        }
    }
    // A name that is defined in many places says nothing about this call.
    found.into_values().filter(|places| places.len() <= 2).flatten().collect()
}

/// Renders the lines that use the definitions in focus.
fn describe_callers(query: &CodeQuery<'_>, names: &[String]) -> String {
    let mut lines = Vec::new();
    for name in names.iter().take(2) {
        let Ok(used) = Regex::new(&format!(r"\b{}\s*\(", regex::escape(name))) else { continue };
        let define =
            Regex::new(&format!(r"\b(?:def|fn|func|function|class)\s+(?:\([^)]*\)\s*)?{}\b", regex::escape(name)));
        let Ok(define) = define else { continue };
        for SourceText { path, text } in query.repository.searched() {
            if !is_code(path) || is_test(path) {
                continue;
            }
            let places = text.lines().enumerate().filter(|(_, line)| used.is_match(line) && !define.is_match(line));
            lines.extend(places.take(2).map(|(number, line)| {
                format!("{path}:{}: {}", number + 1, line.trim().chars().take(120).collect::<String>())
            }));
            if lines.len() >= MAX_CALLERS {
                break;
            }
        }
    }
    lines.truncate(MAX_CALLERS);
    if lines.is_empty() { String::new() } else { format!("Who calls it:\n{}\n\n", lines.join("\n")) }
}

/// A test file, and how much it has to do with the code in focus.
struct TestFile<'a> {
    source: &'a SourceText,
    score: usize,
}

/// Renders the tests that exercise the code in focus: their files and names, and one of them whole, so that another can be
/// written like it.
fn describe_tests(query: &CodeQuery<'_>, views: &[View<'_>], names: &[String]) -> String {
    let stems: Vec<&str> = views.iter().filter_map(|view| stem_of(view.path)).collect();
    let mut files: Vec<TestFile<'_>> = query
        .repository
        .searched()
        .iter()
        .filter(|source| is_code(&source.path) && is_test(&source.path))
        .filter_map(|source| {
            let uses: usize = names
                .iter()
                .enumerate()
                .map(|(at, name)| source.text.matches(name.as_str()).count().min(20) * (4 - at.min(3)))
                .sum();
            let is_named = stems.iter().any(|stem| stem_of(&source.path).is_some_and(|own| own.contains(stem)));
            let imports = stems.iter().any(|stem| mentions_module(&source.text, stem));
            let score = uses + if is_named { 30 } else { 0 } + usize::from(imports) * 5;
            (score > 0).then_some(TestFile { source, score })
        })
        .collect();
    files.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.source.path.cmp(&b.source.path)));
    files.truncate(MAX_TEST_FILES);
    let Some(first) = files.first() else { return String::new() };
    let mut out = String::from("Tests that exercise it:\n");
    for file in &files {
        let definitions = query.index.outline(&file.source.path, &file.source.text);
        let related = related_tests(&file.source.text, &definitions, names);
        let shown: Vec<&str> = related.iter().take(MAX_TEST_NAMES).map(|test| test.name.as_str()).collect();
        let _ = writeln!(
            out,
            "- {}: {}",
            file.source.path,
            if shown.is_empty() { "…".to_owned() } else { shown.join(", ") }
        );
    }
    out.push_str(&example_of(query, first.source, names));
    out.push('\n');
    out
}

/// Returns the tests of a file that mention the names, shortest first.
fn related_tests<'a>(text: &str, definitions: &'a [Definition], names: &[String]) -> Vec<&'a Definition> {
    let lines: Vec<&str> = text.lines().collect();
    let body = |test: &Definition| {
        lines[(test.lines.0 as usize - 1).min(lines.len())..(test.lines.1 as usize).min(lines.len())].join("\n")
    };
    let is_test = |test: &&Definition| {
        matches!(test.kind.as_str(), "function" | "method") && test.name.to_lowercase().contains("test")
    };
    let mut tests: Vec<&Definition> = definitions
        .iter()
        .filter(is_test)
        .filter(|test| names.is_empty() || names.iter().any(|name| body(test).contains(name.as_str())))
        .collect();
    tests.sort_by_key(|test| test.lines.1 - test.lines.0);
    tests
}

/// Renders the first lines of a test file and one of its tests.
fn example_of(query: &CodeQuery<'_>, source: &SourceText, names: &[String]) -> String {
    let lines: Vec<&str> = source.text.lines().collect();
    let definitions = query.index.outline(&source.path, &source.text);
    let mut excerpt = Excerpt::new(lines.len());
    if lines.len() <= MAX_TEST_LINES {
        excerpt.show(0..lines.len());
    } else {
        let head = lines.iter().position(|line| !is_head(line)).unwrap_or(12).min(14);
        excerpt.show(0..head);
        let related = related_tests(&source.text, &definitions, names);
        // Not the shortest, which may be a stub.
        let fits =
            |test: &&&Definition| (4..MAX_TEST_LINES).contains(&(test.lines.1 as usize + 1 - test.lines.0 as usize));
        let example = related
            .iter()
            .find(fits)
            .copied()
            .or_else(|| related_tests(&source.text, &definitions, &[]).into_iter().find(|test| fits(&test)));
        match example {
            Some(test) => {
                let from = test.lines.0 as usize - 1;
                excerpt.show(extend_upwards(&lines, from)..(test.lines.1 as usize).min(lines.len()));
            }
            // Where the grammar finds no tests, the end of the file shows how they look and where another goes.
            None => excerpt.show(lines.len().saturating_sub(MAX_TEST_LINES / 2)..lines.len()),
        }
    }
    let text = excerpt.render(&source.text).replace("</test>", "<\\/test>");
    format!("<test path=\"{}\">\n{text}</test>\n", source.path)
}

/// Returns whether a line belongs to the head of a file: its imports and the comments around them.
fn is_head(line: &str) -> bool {
    let line = line.trim();
    let starts = [
        "import ", "from ", "use ", "#", "//", "/*", "*", "\"\"\"", "'use", "\"use", "const ", "var ", "let ",
        "package ", "include", ")", "(",
    ];
    line.is_empty() || starts.iter().any(|start| line.starts_with(start))
}

fn mentions_module(text: &str, stem: &str) -> bool {
    let is_import = |line: &&str| {
        line.contains("import") || line.contains("require") || line.starts_with("use ") || line.contains("include")
    };
    text.lines().take(60).filter(is_import).any(|line| line.contains(stem))
}

fn stem_of(path: &str) -> Option<&str> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().filter(|stem| stem.len() > 2)?;
    // The name of a package is that of its folder.
    if matches!(stem, "__init__" | "index" | "mod" | "lib" | "main") {
        return folder.rsplit('/').next().filter(|name| name.len() > 2 && *name != "src");
    }
    Some(stem)
}

pub(crate) fn is_test(path: &str) -> bool {
    RepoPath::parse(path).is_ok_and(|path| path.is_test())
}

/// Renders what the repository tells whoever changes it.
fn describe_instructions(repository: &Repository) -> String {
    let Some((path, text)) = INSTRUCTIONS.iter().find_map(|path| Some((path, repository.read(path)?))) else {
        return String::new();
    };
    let text = if *path == "AGENTS.md" { text } else { relevant_paragraphs(&text) };
    if text.trim().is_empty() {
        return String::new();
    }
    let text = text.replace("</instructions>", "<\\/instructions>");
    format!("<instructions path=\"{path}\">\n{}\n</instructions>\n", text.trim())
}

/// Returns the paragraphs about tests, style and change logs: the rest is for people.
fn relevant_paragraphs(text: &str) -> String {
    let words = ["test", "changelog", "style", "lint", "format", "commit message", "docstring", "release note"];
    let is_relevant = |paragraph: &&str| {
        let lower = paragraph.to_lowercase();
        words.iter().any(|word| lower.contains(word)) && paragraph.len() < 800
    };
    text.split("\n\n").filter(is_relevant).take(8).collect::<Vec<_>>().join("\n\n")
}

/// Returns as many whole lines of a text as fit; closes a tag that is cut off.
fn within(text: &str, room: usize) -> String {
    if count_tokens(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 8;
    for line in text.split_inclusive('\n') {
        used += count_tokens(line);
        if used > room {
            break;
        }
        out.push_str(line);
    }
    if out.is_empty() {
        return out;
    }
    for (open, close) in [("<test ", "</test>"), ("<instructions ", "</instructions>")] {
        if out.matches(open).count() > out.matches(close).count() {
            let _ = writeln!(out, "[the rest is not shown]\n{close}");
        }
    }
    out
}
