//! The code that a plan is made from: bodies of the likely definitions, what they call and who calls them, the tests that
//! exercise them, and what the repository says about itself. Never whole files beyond a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

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
    /// The issue's title: of several tests, one that is about the same is shown.
    pub(crate) title: &'a str,
    /// How tests are run here, for the model; empty if nobody knows.
    pub(crate) suites: &'a [String],
    /// The most tokens of all.
    pub(crate) room: usize,
}

/// Files up to this many lines are shown whole; the likeliest one up to more, if there is room.
const SMALL_FILE_LINES: usize = 80;
const MAX_WHOLE_LINES: usize = 400;
/// A name that is used more often says nothing about who calls this one.
const MAX_USES: usize = 15;
/// A definition longer than this is shown by its first lines.
const MAX_BODY_LINES: usize = 160;
/// How many lines of a long class are shown, up to its first method.
const CLASS_HEAD_LINES: usize = 25;
/// How many definitions of one file are shown, and how many of one name.
const MAX_BODIES: usize = 8;
const MAX_PLACES: usize = 4;
/// The most lines of an outline, of calls, of callers and of test files.
const MAX_OUTLINE: usize = 16;
const MAX_CALLS: usize = 12;
const MAX_CALLERS: usize = 8;
const MAX_TEST_FILES: usize = 4;
const MAX_TEST_NAMES: usize = 6;
/// The longest test that is shown as an example, in lines.
const MAX_TEST_LINES: usize = 30;
/// How many lines of the head of its file are shown.
const MAX_HEAD_LINES: usize = 14;
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
    for view in views.iter().take(2) {
        add(view.outline(), 6);
    }
    add(describe_instructions(query.repository), INSTRUCTIONS_SHARE);
    if views.is_empty() {
        add(list_files(query.repository), 40);
    }
    if !query.suites.is_empty() {
        out.push_str(&format!("Tests run here with: {}\n", query.suites.join(", ")));
    }
    out
}

/// Renders, as data, what of the focus a text does not show: files that it shows nothing of, and named definitions.
pub(crate) fn describe_unseen(query: &CodeQuery<'_>, shown: &str) -> String {
    let mut out = String::new();
    let mut room = query.room;
    for focus in query.focus {
        let Some(mut view) = open_view(query, focus) else { continue };
        let path = focus.path.as_str();
        let is_known = ["file", "test"].iter().any(|tag| shown.contains(&format!("<{tag} path=\"{path}\"")));
        if focus.path.is_test() {
            if !is_known {
                out.push_str(&describe_test_file(query, &view.text, path));
            }
            continue;
        }
        for round in 0..focus.symbols.len().min(MAX_BODIES) {
            for range in view.ranges_of(focus, round) {
                if !shows(shown, &view.text, &range) {
                    view.show_if_fits(range, &mut room);
                }
            }
        }
        if !is_known && view.excerpt.is_empty() {
            let whole = view.text.lines().count();
            view.show_if_fits(0..whole.min(MAX_BODY_LINES), &mut room);
        }
        if !view.excerpt.is_empty() {
            out.push_str(&format!("{}\n", view.render()));
        }
    }
    out
}

/// Returns whether a text shows the first lines of a range.
fn shows(shown: &str, text: &str, range: &Range<usize>) -> bool {
    let lines: Vec<&str> = text.lines().skip(range.start).take(range.len().min(4)).collect();
    shown.contains(&lines.join("\n"))
}

/// How many of the last lines of a test file are shown: there the next test goes.
const TAIL_LINES: usize = 12;

/// Renders a test file that is going to get a test: its head, a test that is most like it, its end.
fn describe_test_file(query: &CodeQuery<'_>, text: &str, path: &str) -> String {
    let source = SourceText { path: path.to_owned(), text: text.to_owned() };
    let count = text.lines().count();
    example_of(query, &source, &[], Some(count.saturating_sub(TAIL_LINES)..count))
}

fn open_view<'a>(query: &CodeQuery<'_>, focus: &'a Focus) -> Option<View<'a>> {
    let path = focus.path.as_str();
    let text = query.repository.read(path)?;
    let definitions = query.index.outline(path, &text);
    let excerpt = Excerpt::new(text.lines().count());
    Some(View { path, text, definitions, excerpt })
}

/// Shows the likeliest file whole if it is not long, then bodies in turn: the best definition of each file, then the second of
/// each, as far as there is room.
fn show_bodies(views: &mut [View<'_>], query: &CodeQuery<'_>) {
    let mut room = query.room * BODIES_SHARE / 100;
    let is_open = |focus: &&Focus| query.repository.contains(focus.path.as_str());
    let focus: Vec<&Focus> = query.focus.iter().filter(is_open).collect();
    if let Some(first) = views.first_mut() {
        let count = first.text.lines().count();
        if count <= MAX_WHOLE_LINES {
            first.show_if_fits(0..count, &mut room);
        }
    }
    for round in 0..MAX_BODIES {
        for (view, focus) in views.iter_mut().zip(&focus) {
            for range in view.ranges_of(focus, round) {
                view.show_if_fits(range, &mut room);
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
    /// Shows lines if the room suffices for those that are not shown yet.
    fn show_if_fits(&mut self, range: Range<usize>, room: &mut usize) {
        let lines: Vec<&str> = self.text.lines().collect();
        let new: String = self.excerpt.missing(&range).map(|line| format!("{}\n", lines[line])).collect();
        let cost = count_tokens(&new);
        if cost <= *room {
            *room -= cost;
            self.excerpt.show(range);
        }
    }

    /// Returns the lines to show of the definition at a place of the order, from 0: of a type, those of its implementations too.
    fn ranges_of(&self, focus: &Focus, round: usize) -> Vec<Range<usize>> {
        let lines: Vec<&str> = self.text.lines().collect();
        if lines.len() <= SMALL_FILE_LINES {
            return (round == 0).then_some(0..lines.len()).into_iter().collect();
        }
        let Some((name, found)) = focus.symbols.get(round) else { return Vec::new() };
        // The definition may stand elsewhere than the index said, if another version was indexed.
        let mut places: Vec<(u32, u32)> =
            self.definitions.iter().filter(|known| known.name == *name).map(|known| known.lines).collect();
        if places.is_empty() && found.0 > 0 {
            places.push(*found);
        }
        places.truncate(MAX_PLACES);
        let range = |place: (u32, u32)| {
            let (from, to) = ((place.0 as usize).saturating_sub(1), (place.1 as usize).min(lines.len()));
            let to = if to.saturating_sub(from) > MAX_BODY_LINES { self.end_of_head(from, to) } else { to };
            extend_upwards(&lines, from)..to.max(from)
        };
        places.into_iter().map(range).collect()
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

/// Renders the paths of the repository, where nothing is known about which of them matter.
fn list_files(repository: &Repository) -> String {
    let mut paths: Vec<&str> = repository.paths().collect();
    paths.sort_by_key(|path| (!is_product(path), path.matches('/').count()));
    format!("No file matches the issue's words. The repository has, among others:\n{}\n\n", paths.join("\n"))
}

/// How many names tests and callers are looked for by.
const MAX_NAMES: usize = 5;

/// Returns the names of the definitions in focus that other code would use, the likeliest first.
fn focused_names(views: &[View<'_>], focus: &[Focus]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let symbols = focus.iter().flat_map(|focus| focus.symbols.iter().take(2).map(|(name, _)| name.clone()));
    let whole = views.iter().filter(|view| view.excerpt.is_whole());
    let inner =
        whole.flat_map(|view| view.definitions.iter().filter(|known| known.kind == "function" && known.depth == 0));
    for name in symbols.chain(inner.map(|known| known.name.clone())) {
        let own = name.rsplit('.').next().unwrap_or(&name).to_owned();
        if own.len() > 2 && !own.starts_with("__") && own != "constructor" && !names.contains(&own) {
            names.push(own);
        }
    }
    names.truncate(MAX_NAMES);
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
    // A method of something else may be anybody's.
    let call =
        Regex::new(r"(self\.|this\.|cls\.|Self::|\.)?\b([A-Za-z_]\w{2,})\s*\(").expect("the expression is valid");
    let shown: Vec<String> = views.iter().map(|view| view.excerpt.render(&view.text)).collect();
    // Those of the own object are in the files in focus; others may be anywhere.
    let (mut own_names, mut names) = (BTreeSet::new(), BTreeSet::new());
    for text in &shown {
        for found in call.captures_iter(text) {
            let owner = found.get(1).map_or("", |owner| owner.as_str());
            let name = found.get(2).map_or("", |name| name.as_str());
            match owner {
                "." => {}
                _ if COMMON.contains(&name) => {}
                "" => drop(names.insert(name)),
                _ => drop(own_names.insert(name)),
            }
        }
    }
    let mut lines = Vec::new();
    let mut known = BTreeSet::new();
    for view in views {
        for definition in &view.definitions {
            let own = definition.name.rsplit('.').next().unwrap_or(&definition.name);
            let is_called = names.contains(own) || own_names.contains(own);
            if is_called && known.insert(own.to_owned()) && !view.excerpt.shows(definition.lines.0 as usize - 1) {
                lines.push(format!("{}:{}: {}", view.path, definition.lines.0, definition.signature));
            }
        }
    }
    names.retain(|name| !known.contains(*name));
    lines.extend(find_definitions(query.repository, &names, views));
    lines.truncate(MAX_CALLS);
    if lines.is_empty() { String::new() } else { format!("What it calls:\n{}\n\n", lines.join("\n")) }
}

/// Finds the lines that define names, outside of the files in focus.
fn find_definitions(repository: &Repository, names: &BTreeSet<&str>, views: &[View<'_>]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let define = Regex::new(
        r"^\s*(?:[\w()]+\s+)*?(?:def|fn|func|function|class|struct|trait|interface)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)",
    )
    .expect("the expression is valid");
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let others = repository
        .searched()
        .iter()
        .filter(|source| is_product(&source.path) && views.iter().all(|view| view.path != source.path));
    for SourceText { path, text } in others {
        for (number, line) in text.lines().enumerate() {
            let Some(name) = define.captures(line).and_then(|found| found.get(1)) else { continue };
            if let Some(name) = names.get(name.as_str()) {
                let signature: String = line.trim().trim_end_matches(['{', ':', ' ']).chars().take(140).collect();
                found.entry(name).or_default().push(format!("{path}:{}: {signature}", number + 1));
            }
        }
    }
    // A name that is defined in many places says nothing about this call.
    found.into_values().filter(|places| places.len() == 1).flatten().collect()
}

/// Renders the lines that use the definitions in focus.
fn describe_callers(query: &CodeQuery<'_>, names: &[String]) -> String {
    let mut lines = Vec::new();
    for name in names.iter().take(2) {
        let uses = find_uses(query.repository, name);
        if uses.len() <= MAX_USES {
            lines.extend(uses.into_iter().take(MAX_CALLERS / 2));
        }
    }
    if lines.is_empty() { String::new() } else { format!("Who calls it:\n{}\n\n", lines.join("\n")) }
}

/// Finds the lines of the product's code that call a name.
fn find_uses(repository: &Repository, name: &str) -> Vec<String> {
    let name = regex::escape(name);
    let used = Regex::new(&format!(r"\b{name}\s*\("));
    let define = Regex::new(&format!(r"\b(?:def|fn|fun|func|function|class)\s+(?:\([^)]*\)\s*)?{name}\b"));
    let (Ok(used), Ok(define)) = (used, define) else { return Vec::new() };
    let mut lines = Vec::new();
    for SourceText { path, text } in repository.searched().iter().filter(|source| is_product(&source.path)) {
        if !used.is_match(text) {
            continue;
        }
        let is_call = |line: &str| used.is_match(line) && !define.is_match(line) && !is_comment(line);
        let places = text.lines().enumerate().filter(|(_, line)| is_call(line));
        lines.extend(places.map(|(number, line)| {
            format!("{path}:{}: {}", number + 1, line.trim().chars().take(120).collect::<String>())
        }));
        if lines.len() > MAX_USES {
            break;
        }
    }
    lines
}

fn is_comment(line: &str) -> bool {
    ["#", "//", "*", "/*", "--"].iter().any(|mark| line.trim_start().starts_with(mark))
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
        let related = related_tests(&file.source.text, &definitions, names, query.title);
        let shown: Vec<&str> = related.iter().take(MAX_TEST_NAMES).map(|test| test.name.as_str()).collect();
        let shown = if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) };
        let _ = writeln!(out, "- {}{shown}", file.source.path);
    }
    out.push_str(&example_of(query, first.source, names, None));
    out.push('\n');
    out
}

/// Returns the tests of a file that use the names, those first that have most of the issue's words.
fn related_tests<'a>(text: &str, definitions: &'a [Definition], names: &[String], title: &str) -> Vec<&'a Definition> {
    let lines: Vec<&str> = text.lines().collect();
    let body = |test: &Definition| {
        let (from, to) = (test.lines.0 as usize - 1, (test.lines.1 as usize).min(lines.len()));
        lines[from.min(to)..to].join("\n").to_lowercase()
    };
    let bodies: Vec<String> = definitions.iter().map(body).collect();
    // A word that most tests have says nothing about this one.
    let weigh = |word: String| {
        let count = bodies.iter().filter(|body| body.contains(&word)).count();
        (word, 1_000 / (count + 1))
    };
    let words: Vec<(String, usize)> = words_of(title).into_iter().map(weigh).collect();
    let score = |at: usize, test: &Definition| {
        let (body, name) = (&bodies[at], test.name.to_lowercase());
        let in_body: usize =
            words.iter().filter(|(word, _)| body.contains(word.as_str())).map(|(_, weight)| weight).sum();
        let in_name: usize =
            words.iter().filter(|(word, _)| name.contains(word.as_str())).map(|(_, weight)| weight).sum();
        let uses = names.iter().filter(|name| body.contains(&name.to_lowercase())).count();
        (uses > 0 || names.is_empty() || in_name > 0).then_some(in_body + 2 * in_name + 5 * uses)
    };
    // Where tests have an attribute or a call around them, their names say nothing.
    let are_named = definitions.iter().any(|known| own_name(known).contains("test"));
    let is_test = |test: &&Definition| {
        matches!(test.kind.as_str(), "function" | "method") && (!are_named || own_name(test).contains("test"))
    };
    let mut tests: Vec<(usize, &Definition)> = definitions
        .iter()
        .enumerate()
        .filter(|(_, test)| is_test(test))
        .filter_map(|(at, test)| Some((score(at, test)?, test)))
        .collect();
    tests.sort_by_key(|(score, test)| (std::cmp::Reverse(*score), test.lines.1 - test.lines.0));
    tests.into_iter().map(|(_, test)| test).collect()
}

fn own_name(definition: &Definition) -> String {
    definition.name.rsplit('.').next().unwrap_or(&definition.name).to_lowercase()
}

/// Returns the words of a title that say something.
fn words_of(title: &str) -> Vec<String> {
    let words = title.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_lowercase);
    words
        .filter(|word| {
            word.len() > 3 && !["when", "with", "that", "does", "from", "should", "after"].contains(&word.as_str())
        })
        .collect()
}

/// Renders the first lines of a test file and one of its tests.
fn example_of(query: &CodeQuery<'_>, source: &SourceText, names: &[String], tail: Option<Range<usize>>) -> String {
    let lines: Vec<&str> = source.text.lines().collect();
    let definitions = query.index.outline(&source.path, &source.text);
    let mut excerpt = Excerpt::new(lines.len());
    if lines.len() <= MAX_TEST_LINES {
        excerpt.show(0..lines.len());
    } else {
        let head = lines.iter().position(|line| !is_head(line)).unwrap_or(MAX_HEAD_LINES).min(MAX_HEAD_LINES);
        excerpt.show(0..head);
        let related = related_tests(&source.text, &definitions, names, query.title);
        let others = related_tests(&source.text, &definitions, &[], query.title);
        // Not a stub, and not the longest.
        let fits =
            |test: &&Definition| (4..MAX_TEST_LINES).contains(&(test.lines.1 as usize + 1 - test.lines.0 as usize));
        match related.into_iter().chain(others).find(fits) {
            Some(test) => {
                let from = test.lines.0 as usize - 1;
                excerpt.show(extend_upwards(&lines, from)..(test.lines.1 as usize).min(lines.len()));
            }
            // Where the grammar finds no tests, the end of the file shows how they look and where another goes.
            None => excerpt.show(lines.len().saturating_sub(MAX_TEST_LINES / 2)..lines.len()),
        }
    }
    if let Some(tail) = tail {
        excerpt.show(tail);
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

/// Folders of code that nobody ships.
const AUXILIARY: [&str; 10] =
    ["bench", "benches", "benchmark", "benchmarks", "scripts", "tools", "examples", "doc", "docs", "fixtures"];

/// Returns whether a file is code of the product: no test, benchmark or example.
fn is_product(path: &str) -> bool {
    is_code(path) && !is_test(path) && !path.split('/').any(|part| AUXILIARY.contains(&part))
}

pub(crate) fn is_test(path: &str) -> bool {
    RepoPath::parse(path).is_ok_and(|path| path.is_test())
}

/// Renders what the repository tells whoever changes it.
fn describe_instructions(repository: &Repository) -> String {
    let Some((path, text)) = INSTRUCTIONS.iter().find_map(|path| Some((path, repository.read(path)?))) else {
        return String::new();
    };
    let text = if *path == "AGENTS.md" { text } else { relevant_sentences(&text) };
    if text.trim().is_empty() {
        return String::new();
    }
    let text = text.replace("</instructions>", "<\\/instructions>");
    format!("<instructions path=\"{path}\">\n{}\n</instructions>\n", text.trim())
}

/// How many sentences of a long text for contributors are shown, and the longest one in characters.
const MAX_SENTENCES: usize = 6;
const MAX_SENTENCE: usize = 300;

/// Returns the sentences about tests, style and change logs: the rest is for people.
fn relevant_sentences(text: &str) -> String {
    let subjects = ["test", "changelog", "news fragment", "release note", "commit message", "formatted", "docstring"];
    let demands = ["add", "must", "should", "run", "include", "write", "create", "require"];
    let mut in_code = false;
    let mut found: Vec<String> = Vec::new();
    let prose: String = text
        .lines()
        .filter(|line| {
            let is_mark = line.trim_start().starts_with("```");
            in_code ^= is_mark;
            !in_code && !is_mark && !line.starts_with("    ") && !line.starts_with('#')
        })
        .map(|line| format!("{} ", line.trim()))
        .collect();
    for sentence in prose.split_inclusive(". ") {
        let lower = sentence.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if sentence.len() < MAX_SENTENCE && has(&subjects) && has(&demands) {
            found.push(format!("- {}", sentence.trim()));
        }
    }
    found.truncate(MAX_SENTENCES);
    found.join("\n")
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
    let is_more_than_a_heading = out.lines().nth(2).is_some();
    if !is_more_than_a_heading {
        return String::new();
    }
    for (open, close) in [("<test ", "</test>"), ("<instructions ", "</instructions>")] {
        if out.matches(open).count() > out.matches(close).count() {
            let _ = writeln!(out, "[the rest is not shown]\n{close}");
        }
    }
    out
}
