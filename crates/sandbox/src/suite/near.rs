//! Which test files are near to a change: those that it brings, and those that name what it changes.

use std::collections::BTreeMap;
use std::path::Path;

use ignore::WalkBuilder;

/// How many files beside those that the change brings are near.
const MAX_NEAR: usize = 5;
/// The largest file that is searched for names.
const MAX_BYTES: u64 = 1 << 20;
/// How many test files are searched at most.
const MAX_FILES: usize = 20_000;

/// The names of folders with tests.
const TEST_FOLDERS: &[&str] = &["tests", "test", "testing", "spec", "__tests__"];

/// Names that say nothing about a file.
const COMMON_STEMS: &[&str] =
    &["index", "main", "mod", "lib", "__init__", "__main__", "utils", "util", "types", "common"];

/// Returns the near test files of a suite, relative to the root, the most certain ones first.
pub(crate) fn find(root: &Path, folder: &str, changed: &[&str], is_test: fn(&str) -> bool) -> Vec<String> {
    let is_test_here = |path: &&str| is_test(path) && root.join(path).is_file() && !is_source(root, path);
    let brought: Vec<&str> = changed.iter().copied().filter(is_test_here).collect();
    let sources: Vec<Source<'_>> =
        changed.iter().copied().filter(|path| !is_test(path)).filter_map(Source::new).collect();
    let mut scores: BTreeMap<String, u32> = BTreeMap::new();
    for path in test_files(root, folder, is_test) {
        if brought.contains(&path.as_str()) {
            continue;
        }
        let score = score(root, &path, &sources);
        if score > 0 {
            scores.insert(path, score);
        }
    }
    let mut near: Vec<(u32, String)> = scores.into_iter().map(|(path, score)| (score, path)).collect();
    near.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let near = near.into_iter().take(MAX_NEAR).map(|(_, path)| path);
    brought.into_iter().map(str::to_owned).chain(near).collect()
}

fn test_files(root: &Path, folder: &str, is_test: fn(&str) -> bool) -> Vec<String> {
    let walk = WalkBuilder::new(root.join(folder)).require_git(false).git_global(false).follow_links(false).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let paths = files.filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_str()?.to_owned()));
    paths.filter(|path| is_test(path) && !is_source(root, path)).take(MAX_FILES).collect()
}

/// Returns whether a file whose name alone makes it one of tests is none: `jinja2/tests.py` defines what templates can ask.
fn is_source(root: &Path, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let words = ["TestCase", "unittest", "pytest", "import django", "from django", "doctest"];
    matches!(name, "tests.py" | "test.py") && {
        let text = read(&root.join(path));
        !words.iter().any(|word| text.contains(word))
    }
}

/// A changed file that is no test.
struct Source<'a> {
    folders: Vec<&'a str>,
    /// Whether it is data of tests: it lies in a folder of tests, and a runner does not collect it.
    is_data: bool,
    /// What tests call it: its name without extension, or the name of its folder if that is what is imported.
    stem: &'a str,
}

impl<'a> Source<'a> {
    fn new(path: &'a str) -> Option<Self> {
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop()?;
        let mut stem = name.split('.').next().filter(|stem| !stem.is_empty())?;
        if COMMON_STEMS.contains(&stem)
            && let Some(folder) = folders.pop()
        {
            stem = folder;
        }
        let is_data = folders.iter().any(|folder| TEST_FOLDERS.contains(folder));
        Some(Self { folders, is_data, stem })
    }
}

/// Rates how likely a test file tests one of the sources; 0 if nothing speaks for it.
fn score(root: &Path, path: &str, sources: &[Source<'_>]) -> u32 {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let text = read(&root.join(path));
    sources.iter().map(|source| score_of(path, &name, &text, source)).max().unwrap_or(0)
}

fn score_of(path: &str, name: &str, text: &str, source: &Source<'_>) -> u32 {
    let stem = source.stem.to_lowercase();
    let plain: String = stem.trim_matches('_').to_owned();
    if plain.is_empty() {
        return 0;
    }
    let named = words_of(name).collect::<Vec<_>>();
    if source.is_data && reads_folder_of(name, text, source) {
        return READS_DATA;
    }
    let in_name = named.iter().any(|word| *word == plain)
        || name.replace(['-', '_'], "").contains(&plain.replace(['-', '_'], ""));
    let mentions = mentions(text, source);
    if !in_name && mentions == 0 {
        return 0;
    }
    let shared = source.folders.iter().filter(|folder| path.split('/').any(|part| part == **folder)).count();
    u32::from(in_name) * 40 + mentions.min(3) * 10 + u32::try_from(shared).unwrap_or(0) * 5
}

/// More than any test that only names a source.
const READS_DATA: u32 = 200;

/// Returns whether a test file reads the folder in which data lies: it is called like it, or has its name in quotes.
fn reads_folder_of(name: &str, text: &str, source: &Source<'_>) -> bool {
    let bare = name.split('.').next().unwrap_or(name);
    let bare = bare.trim_start_matches("test_").trim_end_matches("_test").trim_end_matches("_spec");
    let below: Vec<&&str> = source.folders.iter().filter(|folder| !TEST_FOLDERS.contains(folder)).collect();
    let in_quotes = |folder: &str| ['"', '\''].iter().any(|quote| text.contains(&format!("{quote}{folder}{quote}")));
    // The outermost folder: those in it are mostly listed by a program.
    below.first().is_some_and(|folder| **folder == bare || (folder.len() > 3 && in_quotes(folder)))
}

/// Counts the lines that import the source.
fn mentions(text: &str, source: &Source<'_>) -> u32 {
    let is_import = |line: &str| {
        let line = line.split(" #").next().unwrap_or(line).trim_start();
        let keywords =
            ["import ", "from ", "use ", "require", "#include", "const ", "let ", "var ", "export ", "jest.mock"];
        keywords.iter().any(|keyword| line.starts_with(keyword)) && names(line, source.stem)
    };
    let lines = text.lines().filter(|line| line.contains(source.stem)).filter(|line| is_import(line)).take(3).count();
    u32::try_from(lines).unwrap_or(0)
}

/// Returns whether a line has a name that is no part of a longer word. The name may have signs in it.
fn names(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + name.len()..].chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn read(path: &Path) -> String {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_BYTES => {
            std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{python, tree_of};
    use super::*;

    #[test]
    fn tests_of_the_change_come_first_then_those_that_name_or_import_what_it_changes() {
        let tree = tree_of(&[
            ("app/orders.py", ""),
            ("tests/test_orders.py", "import app"),
            ("tests/test_shop.py", "from app.orders import total\n"),
            ("tests/test_users.py", "from app.users import name  # orders\n"),
            ("tests/test_new.py", ""),
            ("tests/data.py", "from app import orders"),
        ]);
        let near = find(tree.path(), "", &["app/orders.py", "tests/test_new.py"], python::is_test_file);
        assert_eq!(near, ["tests/test_new.py", "tests/test_orders.py", "tests/test_shop.py"]);
    }

    #[test]
    fn fault_h_data_of_tests_belongs_to_the_test_that_reads_its_folder() {
        let tree = tree_of(&[
            ("tests/functional/i/invalid_name.py", ""),
            ("tests/functional/i/invalid_name.txt", ""),
            ("tests/test_functional.py", ""),
            ("tests/test_walk.py", "FOLDER = HERE / \"functional\"\n"),
            ("tests/test_invalid.py", ""),
        ]);
        let changed = ["tests/functional/i/invalid_name.py", "tests/functional/i/invalid_name.txt"];
        let near = find(tree.path(), "", &changed, python::is_test_file);
        assert_eq!(near, ["tests/test_functional.py", "tests/test_walk.py"]);
    }

    #[test]
    fn a_module_called_tests_is_one_of_tests_only_by_its_text() {
        let tree = tree_of(&[
            ("src/jinja2/filters.py", ""),
            ("src/jinja2/tests.py", "from .filters import x\ndef test_odd(value):\n    return value % 2 == 1\n"),
            ("shop/tests.py", "from django.test import TestCase\nfrom shop import filters\n"),
        ]);
        assert_eq!(find(tree.path(), "", &["src/jinja2/filters.py"], python::is_test_file), ["shop/tests.py"]);
    }

    #[test]
    fn a_fixture_belongs_to_the_tests_that_load_it() {
        let tree = tree_of(&[
            ("test/fixtures/range-parse.js", ""),
            ("test/classes/range.js", "const parsed = require('../fixtures/range-parse.js')\n"),
            ("test/classes/comparator.js", "const other = require('../fixtures/comparator-parse.js')\n"),
        ]);
        let is_test = |path: &str| path.starts_with("test/classes/");
        let near = find(tree.path(), "", &["test/fixtures/range-parse.js"], is_test);
        assert_eq!(near, ["test/classes/range.js"]);
    }

    #[test]
    fn a_package_is_known_by_its_folder() {
        let tree = tree_of(&[("shop/cart/__init__.py", ""), ("tests/test_cart.py", ""), ("tests/test_init.py", "")]);
        assert_eq!(find(tree.path(), "", &["shop/cart/__init__.py"], python::is_test_file), ["tests/test_cart.py"]);
    }
}
