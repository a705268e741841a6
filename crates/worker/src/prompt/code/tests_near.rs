//! The tests that exercise the code in focus.

use std::fmt::Write as _;
use std::ops::Range;

use patchwright_core::code_index::Definition;
use patchwright_domain::RepoPath;

use super::CodeQuery;
use super::view::View;
use crate::excerpt::{Excerpt, extend_upwards};
use crate::repository::{SourceText, is_code};

const MAX_TEST_FILES: usize = 4;

const MAX_TEST_NAMES: usize = 6;

/// The longest test that is shown as an example, in lines.
const MAX_TEST_LINES: usize = 30;

/// How many lines of the head of its file are shown.
const MAX_HEAD_LINES: usize = 14;

/// How many of the last lines of a test file are shown: there the next test goes.
const TAIL_LINES: usize = 12;

/// Renders a test file that is going to get a test: its head, a test that is most like it, its end.
pub(super) fn describe_test_file(query: &CodeQuery<'_>, text: &str, path: &str) -> String {
    let source = SourceText { path: path.to_owned(), text: text.to_owned() };
    let count = text.lines().count();
    example_of(query, &source, &[], Some(count.saturating_sub(TAIL_LINES)..count))
}

/// A test file, and how much it has to do with the code in focus.
struct TestFile<'a> {
    source: &'a SourceText,
    score: usize,
}

/// Renders the tests that exercise the code in focus: their files and names, and one of them whole, so that another can be
/// written like it.
pub(super) fn describe_tests(query: &CodeQuery<'_>, views: &[View<'_>], names: &[String]) -> String {
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

/// Returns the tests of a file that use the names, those first that have most of the words.
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

pub(super) fn is_test(path: &str) -> bool {
    RepoPath::parse(path).is_ok_and(|path| path.is_test())
}
