//! What a change does to tests, from the texts of the files before and after it.
//!
//! A test that the change brings, or adds to, is its own goal. One that exists and of which it expects less can prove nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use patchwright_domain::RepoPath;
use regex::Regex;

/// What a change does to one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestEdit {
    /// It is new.
    Added,
    /// It expects what it did, and more.
    Extended,
    /// It expects something else.
    Weakened,
    /// The text around it changed, such as the data that it reads.
    Surrounded,
}

/// A test in a text: two classes of a file may have tests of one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TestKey {
    /// The innermost class, module or `describe` around it; it may be empty.
    scope: String,
    name: String,
}

impl TestKey {
    /// Returns whether a report's name has the scope of this test.
    fn has_scope_of(&self, test: &str) -> bool {
        let is_whole =
            |(before, after): (Option<char>, Option<char>)| !before.is_some_and(is_word) && !after.is_some_and(is_word);
        self.scope.is_empty() || neighbours(test, &self.scope).any(is_whole)
    }
}

/// A changed file with tests.
#[derive(Debug)]
struct EditedFile {
    path: String,
    /// The tests of the file after the change that are not as they were, by the name in the text.
    edits: BTreeMap<TestKey, TestEdit>,
    /// The tests of the file that are as they were.
    kept: Vec<TestKey>,
    /// Whether the text outside of tests changed.
    is_surrounded: bool,
    /// Whether the tests in the file are not known.
    is_opaque: bool,
}

/// What a change does to the tests of a repository.
#[derive(Debug, Default)]
pub(super) struct TestEdits {
    files: Vec<EditedFile>,
    /// The tests that are gone: `path: name`.
    deleted: Vec<String>,
    /// The tests of which less is expected: `path: name`.
    weakened: Vec<String>,
}

impl TestEdits {
    /// Adds a changed file with its text before and after the change.
    pub(super) fn add(&mut self, path: &RepoPath, before: Option<&str>, after: Option<&str>) {
        let is_source_with_tests = path.extension() == Some("rs");
        if !path.is_test() && !is_source_with_tests {
            return;
        }
        let Some(language) = Language::of(path) else {
            if path.is_test() && after.is_some() {
                self.files.push(EditedFile::opaque(path));
            }
            return;
        };
        let (old, new) = (language.tests(before.unwrap_or_default()), language.tests(after.unwrap_or_default()));
        let mut edits = BTreeMap::new();
        let mut kept = Vec::new();
        for (name, block) in &new.tests {
            match old.tests.get(name) {
                None => {
                    edits.insert(name.clone(), TestEdit::Added);
                }
                Some(known) if known == block => kept.push(name.clone()),
                Some(known) => {
                    let edit = if loses_assertions(known, block) { TestEdit::Weakened } else { TestEdit::Extended };
                    edits.insert(name.clone(), edit);
                }
            }
        }
        let shown = |test: &TestKey| format!("{path}: {}", test.name);
        let weakened = edits.iter().filter(|(_, edit)| **edit == TestEdit::Weakened).map(|(name, _)| shown(name));
        self.weakened.extend(weakened);
        self.deleted.extend(old.tests.keys().filter(|name| !new.tests.contains_key(*name)).map(shown));
        let is_surrounded = path.is_test() && old.rest != new.rest;
        let is_opaque = path.is_test() && new.tests.is_empty() && after.is_some();
        self.files.push(EditedFile { path: path.to_string(), edits, kept, is_surrounded, is_opaque });
    }

    /// Returns what the change does to a test, by the name that a report has; `None` if it does nothing to it.
    pub(super) fn of(&self, test: &str) -> Option<TestEdit> {
        let named: Vec<&EditedFile> = self.files.iter().filter(|file| test.contains(&file.path)).collect();
        let in_files: Vec<&EditedFile> = if named.is_empty() { self.files.iter().collect() } else { named.clone() };
        let known = in_files.iter().flat_map(|file| {
            let edits = file.edits.iter().map(|(key, edit)| (key, Some(*edit)));
            edits.chain(file.kept.iter().map(|key| (key, None)))
        });
        let mut known: Vec<(&TestKey, Option<TestEdit>)> =
            known.filter(|(key, _)| is_name_of(test, &key.name)).collect();
        // Some runners leave the scope out of their names.
        if known.iter().any(|(key, _)| !key.scope.is_empty() && key.has_scope_of(test)) {
            known.retain(|(key, _)| key.has_scope_of(test));
        }
        let is_kept = known.iter().any(|(_, edit)| edit.is_none());
        // A test of which less is expected anywhere under this name is the safe answer.
        let found = known.into_iter().filter_map(|(_, edit)| edit).min_by_key(|edit| *edit != TestEdit::Weakened);
        found.or_else(|| {
            let file = named.first()?;
            if file.is_opaque || (file.is_surrounded && file.edits.is_empty()) {
                return Some(TestEdit::Surrounded);
            }
            // A file that could not be loaded is named itself, and fails for what the change brings to it.
            (!is_kept && test.ends_with(&file.path)).then_some(TestEdit::Added)
        })
    }

    /// Returns whether a test is in a file that the change touches.
    pub(super) fn touches(&self, test: &str) -> bool {
        self.files.iter().any(|file| {
            test.contains(&file.path)
                || file.kept.iter().chain(file.edits.keys()).any(|key| is_name_of(test, &key.name))
        })
    }

    /// Returns whether the change touches what tests read, such as data, or tests that cannot be told apart: a test whose own text
    /// is as it was may then be another one.
    pub(super) fn changes_data(&self) -> bool {
        self.files.iter().any(|file| file.is_opaque)
    }

    /// Returns whether the change brings a test or adds to one.
    pub(super) fn has_goals(&self) -> bool {
        self.files.iter().any(|file| file.is_opaque || file.edits.values().any(|edit| *edit != TestEdit::Weakened))
    }

    /// Returns whether a name is that of a changed file itself: runners report it when it cannot be loaded.
    pub(super) fn is_file(&self, test: &str) -> bool {
        self.files.iter().any(|file| test.ends_with(&file.path))
    }

    /// Returns the tests that prove nothing any more, for users.
    pub(super) fn lost(&self) -> Vec<String> {
        let deleted = self.deleted.iter().map(|name| format!("{name} (gone)"));
        deleted.chain(self.weakened.iter().map(|name| format!("{name} (expects something else)"))).collect()
    }
}

impl EditedFile {
    fn opaque(path: &RepoPath) -> Self {
        let (edits, kept) = (BTreeMap::new(), Vec::new());
        Self { path: path.to_string(), edits, kept, is_surrounded: false, is_opaque: true }
    }
}

/// Returns whether a name in a report is that of a test in a text. Parameters and cases are not compared.
fn is_name_of(test: &str, name: &str) -> bool {
    // The title of a table of tests has a place for its values.
    if let Some(at) = name.find(['%', '$']) {
        let start = name[..at].trim_end();
        return !start.is_empty() && test.contains(start);
    }
    neighbours(test, name)
        .any(|(before, after)| !before.is_some_and(is_word) && after.is_none_or(|c| matches!(c, '[' | '(' | '/' | ' ')))
}

/// Returns the characters before and after each place of a name.
fn neighbours<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (Option<char>, Option<char>)> + 'a {
    let around =
        move |(at, found): (usize, &str)| (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
    text.match_indices(name).map(around)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns whether a line that expects something is missing in the new text.
fn loses_assertions(before: &str, after: &str) -> bool {
    let after: Vec<&str> = after.lines().map(bare).collect();
    before.lines().map(bare).filter(|line| is_assertion(line)).any(|line| !after.contains(&line))
}

/// Returns a line without its indentation, and without what a change of the next line changes.
fn bare(line: &str) -> &str {
    line.trim().trim_end_matches([',', ')', ']', '}', ';'])
}

fn is_assertion(line: &str) -> bool {
    const WORDS: [&str; 13] = [
        "assert", "expect", "should", "raises", "panic", "require.", "t.Error", "t.Fatal", "ensure", "verify(",
        "throws", "must_", "refute",
    ];
    !line.starts_with(['#', '/', '*', '@']) && WORDS.iter().any(|word| line.contains(word))
}

/// How tests look in a language.
#[derive(Debug, Clone, Copy)]
struct Language {
    /// The line on which a test begins. Its name is in the last group.
    definition: &'static LazyLock<Regex>,
    /// What a line above it must have.
    attribute: Option<&'static str>,
}

static PYTHON: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:async )?def (test\w*)"));
static JAVASCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^\s*(?:it|test|specify|Deno\.test|t\.test)(?:\.\w+)*(?:\([^'"`]*\))?\(\s*['"`](.+?)['"`]\s*,"#)
});
static GO: LazyLock<Regex> = LazyLock::new(|| pattern(r"^func ((?:Test|Fuzz|Example)\w*)\("));
static RUST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:pub )?(?:async )?fn (\w+)"));
static JAVA: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:public |protected |private )?(?:void|fun) (\w+|`[^`]+`)\s*\("));
static RUBY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^\s*(?:def (?:test_\w+)|(?:it|specify|test|scenario) ['"](.+?)['"])"#));
static PHP: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:public )?function (test\w*)"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

impl Language {
    fn of(path: &RepoPath) -> Option<Self> {
        let plain = |definition| Self { definition, attribute: None };
        Some(match path.extension()? {
            "py" => plain(&PYTHON),
            "js" | "cjs" | "mjs" | "jsx" | "ts" | "cts" | "mts" | "tsx" => plain(&JAVASCRIPT),
            "go" => plain(&GO),
            "rs" => Self { definition: &RUST, attribute: Some("test") },
            "java" | "kt" | "groovy" => Self { definition: &JAVA, attribute: Some("Test") },
            "rb" => plain(&RUBY),
            "php" => plain(&PHP),
            _ => return None,
        })
    }

    /// Finds the tests of a text.
    fn tests(self, text: &str) -> Tests {
        let lines: Vec<&str> = text.lines().collect();
        let mut found = Tests::default();
        let mut at = 0;
        while at < lines.len() {
            let Some(name) = self.name_at(&lines, at) else {
                found.rest.push_str(outside(lines[at]));
                at += 1;
                continue;
            };
            let start = attributes_above(&lines, at);
            let end = end_of(&lines, at);
            let key = TestKey { scope: scope_above(&lines, at), name };
            found.tests.entry(key).or_default().push_str(lines[start..end].join("\n").trim_end());
            at = end;
        }
        found
    }

    fn name_at(self, lines: &[&str], at: usize) -> Option<String> {
        let found = self.definition.captures(lines[at])?;
        if let Some(attribute) = self.attribute {
            let above = &lines[attributes_above(lines, at)..at];
            above.iter().find(|line| line.contains(attribute))?;
        }
        let name = found.iter().skip(1).flatten().last();
        let name =
            name.map_or_else(|| found[0].trim().trim_start_matches("def ").to_owned(), |name| name.as_str().to_owned());
        Some(name.trim_matches('`').to_owned())
    }
}

/// The tests of a text by name, and what is around them.
#[derive(Debug, Default)]
struct Tests {
    tests: BTreeMap<TestKey, String>,
    rest: String,
}

/// Returns a line that is part of no test, unless it says nothing about what the tests do.
fn outside(line: &str) -> &str {
    let line = line.trim();
    let is_import =
        ["import ", "from ", "use ", "#include", "const {", "package "].iter().any(|word| line.starts_with(word));
    let is_attribute = line.starts_with(['@', '#']) || line.starts_with("//");
    if is_import || is_attribute || line.contains("require(") { "" } else { line }
}

static SCOPE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^\s*(?:[\w.@]+ )*?(?:class|mod|module|object) (\w+)|^\s*(?:[\w.]+\.)?(?:describe|context|suite)\b[^'"`]*['"`](.+?)['"`]"#,
    )
});

/// Returns the innermost class, module or `describe` around a line: it is above it, and indented less.
fn scope_above(lines: &[&str], at: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut around = indent(lines[at]);
    for line in lines[..at].iter().rev().filter(|line| !line.trim().is_empty()) {
        if indent(line) >= around {
            continue;
        }
        around = indent(line);
        if let Some(found) = SCOPE.captures(line) {
            return found.iter().skip(1).flatten().last().map_or_else(String::new, |name| name.as_str().to_owned());
        }
    }
    String::new()
}

fn attributes_above(lines: &[&str], at: usize) -> usize {
    let mut start = at;
    while start > 0 {
        let line = lines[start - 1].trim_start();
        if !(line.starts_with('@') || line.starts_with("#[") || line.starts_with("///")) {
            break;
        }
        start -= 1;
    }
    start
}

/// Returns the line behind a block: it ends with the next line that is not indented further, or with its closing line.
fn end_of(lines: &[&str], at: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[at]);
    let mut end = at + 1;
    while end < lines.len() {
        let line = lines[end];
        if !line.trim().is_empty() && indent(line) <= own {
            let closes = line.trim_start().starts_with(['}', ')', ']']) || line.trim() == "end";
            if !closes {
                return end;
            }
            // A signature over several lines closes before the body begins.
            let opens = line.trim_end().ends_with(['{', ':', '(']);
            end += 1;
            if !opens {
                return end;
            }
            continue;
        }
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(path: &str, before: &str, after: &str) -> TestEdits {
        let mut edits = TestEdits::default();
        edits.add(&RepoPath::parse(path).unwrap(), Some(before), Some(after));
        edits
    }

    #[test]
    fn new_extended_and_weakened_tests_are_told_apart() {
        let before = "import a\n\ndef test_one():\n    assert f(1) == 1\n\n@mark\ndef test_two(x):\n    y = 1\n    assert f(2) == 2\n\ndef test_gone():\n    pass\n\ndef test_kept():\n    pass\n";
        let after = "import a, b\n\ndef test_one():\n    assert f(1) == 1\n    assert f(9) == 9\n\n@mark\ndef test_two(x):\n    y = 1\n    assert f(2) == 3\n\ndef test_kept():\n    pass\n\ndef test_new():\n    assert f(0)\n";
        let edits = edits("tests/test_a.py", before, after);
        assert_eq!(edits.of("tests/test_a.py::test_one"), Some(TestEdit::Extended));
        assert_eq!(edits.of("tests/test_a.py::T::test_two[1]"), Some(TestEdit::Weakened));
        assert_eq!(edits.of("tests/test_a.py::test_new"), Some(TestEdit::Added));
        assert_eq!(edits.of("tests/test_a.py::test_kept"), None);
        assert_eq!(edits.of("tests/test_a.py"), Some(TestEdit::Added));
        assert_eq!(edits.of("tests/test_b.py::test_new_other"), None);
        assert_eq!(
            edits.lost(),
            ["tests/test_a.py: test_gone (gone)", "tests/test_a.py: test_two (expects something else)"]
        );
        assert!(edits.touches("tests/test_a.py::test_kept") && edits.has_goals());
    }

    #[test]
    fn a_new_test_with_the_name_of_one_in_another_class_is_new() {
        let before = "class TestOne:\n    def test_attr(self):\n        assert f() == 1\n";
        let after = format!("{before}\nclass TestTwo:\n    def test_attr(self):\n        assert g() == 2\n");
        let found = edits("tests/test_a.py", before, &after);
        assert_eq!(found.of("tests/test_a.py::TestTwo::test_attr"), Some(TestEdit::Added));
        assert_eq!(found.of("tests/test_a.py::TestOne::test_attr"), None);
        assert!(found.lost().is_empty());
        let js = |more: &str| format!("describe('a', () => {{\n  it('works', () => {{ expect(1) }})\n}})\n{more}");
        let found = edits("a.test.js", &js(""), &js("describe('b', () => {\n  it('works', () => { expect(2) })\n})\n"));
        assert_eq!(found.of("a.test.js > b > works"), Some(TestEdit::Added));
        assert_eq!(found.of("a.test.js > a > works"), None);
    }

    #[test]
    fn data_around_the_tests_is_an_edit_of_all_of_them() {
        let edits = edits(
            "tests/test_a.py",
            "CASES = [1]\ndef test_all():\n    pass\n",
            "CASES = [1, 2]\ndef test_all():\n    pass\n",
        );
        assert_eq!(edits.of("tests/test_a.py::test_all[2]"), Some(TestEdit::Surrounded));
    }

    #[test]
    fn the_names_of_every_runner_are_matched() {
        let rust = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert!(true);\n    }\n\n    fn helper() {}\n}\n";
        let rust = edits("src/lib.rs", "", rust);
        assert_eq!(rust.of("demo src/lib.rs::tests::adds"), Some(TestEdit::Added));
        assert_eq!(rust.of("demo src/lib.rs::tests::helper"), None);
        let go = edits("a/x_test.go", "", "func TestX(t *testing.T) {\n\tt.Run()\n}\n");
        assert_eq!(go.of("example.com/m/a.TestX/case_one"), Some(TestEdit::Added));
        assert_eq!(go.of("example.com/m/a.TestXY"), None);
        let js = edits(
            "test/a.test.js",
            "",
            "describe('calc', () => {\n  it('adds two', () => {\n    expect(1).toBe(1);\n  });\n  test.each([1])('is %i', () => {});\n});\n",
        );
        assert_eq!(js.of("test/a.test.js > calc > adds two"), Some(TestEdit::Added));
        assert_eq!(js.of("test/a.test.js > calc > is 3"), Some(TestEdit::Added));
        let java = edits(
            "src/test/java/ATest.java",
            "",
            "class ATest {\n  @Test\n  void adds() {\n    assertEquals(1, 1);\n  }\n}\n",
        );
        assert_eq!(java.of("demo.ATest::adds(int)[1]"), Some(TestEdit::Added));
        let unittest = edits("tests/test_a.py", "", "class A(TestCase):\n    def test_x(self):\n        pass\n");
        assert_eq!(unittest.of("tests.test_a.A.test_x"), Some(TestEdit::Added));
        let ruby = edits("spec/a_spec.rb", "", "describe A do\n  it 'adds' do\n    expect(1).to eq 1\n  end\nend\n");
        assert_eq!(ruby.of("spec/a_spec.rb > A adds"), Some(TestEdit::Added));
    }

    #[test]
    fn a_file_whose_tests_are_not_known_is_taken_as_a_whole() {
        let edits = edits("tests/golden/a.txt", "1", "2");
        assert_eq!(edits.of("golden::tests/golden/a.txt"), Some(TestEdit::Surrounded));
    }
}
