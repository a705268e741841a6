//! The files of a fix while it is made. Nothing is written to the working copy before the fix is complete.

use std::collections::BTreeMap;

use patchwright_core::Redactor;
use patchwright_core::code_index::CodeIndex;
use patchwright_core::outgoing_text::shorten;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::FileContent;
use patchwright_domain::protected::EditablePaths;

use super::actions::Action;
use crate::change::unified_diff;
use crate::edit::{self, Decoded, Edit, plain};
use crate::repository::Repository;

/// The largest file that is written, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// How the text begins that Git LFS keeps in place of a file (its specification, version 1).
const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/";
/// The most files of one fix, and the most changed lines.
const MAX_FILES: usize = 40;
const MAX_CHANGED_LINES: usize = 4_000;

/// What an edit must keep to.
pub(crate) struct EditRules<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) index: &'a dyn CodeIndex,
    pub(crate) redactor: &'a Redactor,
    pub(crate) editable: &'a EditablePaths,
    /// The files of the plan.
    pub(crate) targets: &'a [RepoPath],
}

/// A file of the draft.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DraftFile {
    old: Option<Decoded>,
    /// `None` for a file that is deleted.
    new: Option<String>,
    encoding: Option<String>,
}

impl DraftFile {
    fn is_changed(&self) -> bool {
        self.old.as_ref().map(|old| old.text.as_str()) != self.new.as_deref()
    }
}

/// The changed files of a fix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    files: BTreeMap<RepoPath, DraftFile>,
}

impl Draft {
    /// Takes up a draft that was stored.
    pub(crate) fn restore(contents: &[FileContent], repository: &Repository) -> Self {
        let file = |content: &FileContent| {
            let old = repository.decode(content.path.as_str()).ok().flatten();
            (content.path.clone(), DraftFile { old, new: content.text.clone(), encoding: content.encoding.clone() })
        };
        Self { files: contents.iter().map(file).collect() }
    }

    /// Returns the changed files, for the working copy and for storing.
    pub(crate) fn contents(&self) -> Vec<FileContent> {
        let content = |(path, file): (&RepoPath, &DraftFile)| FileContent {
            path: path.clone(),
            text: file.new.clone(),
            encoding: file.encoding.clone(),
        };
        self.list_changed().map(content).collect()
    }

    /// Returns the paths of the changed files.
    pub(crate) fn paths(&self) -> Vec<RepoPath> {
        self.list_changed().map(|(path, _)| path.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list_changed().next().is_none()
    }

    /// Returns whether a test is changed or added; the tests inside of a file of Rust are in its text.
    pub(crate) fn has_test(&self) -> bool {
        let adds_inline = |file: &DraftFile| {
            let count = |text: &str| text.matches("#[test]").count();
            let old = file.old.as_ref().map_or(0, |old| count(&old.text));
            file.new.as_deref().map_or(0, count) > old
        };
        self.list_changed().any(|(path, file)| path.is_test() || adds_inline(file))
    }

    /// Returns the draft as a unified diff.
    pub(crate) fn diff(&self) -> String {
        let diff = |(path, file): (&RepoPath, &DraftFile)| {
            unified_diff(path, file.old.as_ref().map(|old| old.text.as_str()), file.new.as_deref())
        };
        self.list_changed().map(diff).collect()
    }

    /// Returns a file with the draft's changes, with plain line ends.
    pub(crate) fn read(&self, path: &str, repository: &Repository) -> Option<String> {
        let known = RepoPath::parse(path).ok().and_then(|path| self.files.get(&path));
        match known {
            Some(file) => Some(plain(file.new.as_deref()?)),
            None => repository.read(path),
        }
    }

    /// Returns the files that differ from the base; one that was changed back does not.
    fn list_changed(&self) -> impl Iterator<Item = (&RepoPath, &DraftFile)> {
        self.files.iter().filter(|(_, file)| file.is_changed())
    }

    /// Applies an edit of the model and says what it did.
    ///
    /// # Errors
    /// A message for the model; the draft is then as before.
    pub(crate) fn apply(&mut self, action: &Action, rules: &EditRules<'_>) -> Result<String, String> {
        let before = self.clone();
        let done = self.try_apply(action, rules).and_then(|done| self.check_size().map(|()| done));
        if done.is_err() {
            *self = before;
        }
        done
    }

    /// Replaces the text of a changed file.
    ///
    /// # Errors
    /// What is wrong with the text; the draft is then as before.
    pub(crate) fn replace(&mut self, path: &RepoPath, text: String, rules: &EditRules<'_>) -> Result<(), String> {
        let Some(file) = self.files.get_mut(path) else { return Err("it is not changed".to_owned()) };
        if file.new.as_ref() == Some(&text) {
            return Ok(());
        }
        check_text(path, file.new.as_deref(), &text, file.encoding.as_deref(), rules)?;
        file.new = Some(text);
        Ok(())
    }

    fn try_apply(&mut self, action: &Action, rules: &EditRules<'_>) -> Result<String, String> {
        match action {
            Action::Edit { path: Some(path), body } => self.edit(&checked(path, rules)?, body, rules),
            Action::Edit { path: None, body } => {
                let path = self.find_file(body, rules)?;
                self.edit(&path, body, rules)
            }
            Action::Create { path, body } => {
                let path = checked(path, rules)?;
                if self.current(&path, rules)?.is_some() && !edit::has_blocks(body) {
                    return Err(format!("{path} exists already; change it with `edit` and search/replace blocks"));
                }
                self.edit(&path, body, rules)
            }
            Action::Unusable { problem } => Err(problem.clone()),
            Action::Delete { path } => {
                let path = checked(path, rules)?;
                self.existing(&path, rules)?;
                self.set(&path, None, rules)?;
                Ok("deleted".to_owned())
            }
            Action::Rename { from, to } => {
                let (from, to) = (checked(from, rules)?, checked(to, rules)?);
                let text = self.existing(&from, rules)?;
                if self.current(&to, rules)?.is_some() {
                    return Err(format!("{to} exists already"));
                }
                self.set(&from, None, rules)?;
                let encoding = self.files.get(&from).and_then(|file| file.encoding.clone());
                self.set(&to, Some(text), rules)?;
                if let Some(file) = self.files.get_mut(&to) {
                    file.encoding = encoding;
                }
                Ok("moved".to_owned())
            }
            other => Err(format!("`{}` is no edit", other.name())),
        }
    }

    fn edit(&mut self, path: &RepoPath, body: &str, rules: &EditRules<'_>) -> Result<String, String> {
        let old = self.current(path, rules)?;
        if old.is_none() && edit::has_blocks(body) && !is_creation(body) {
            let similar = rules.repository.similar_paths(path.as_str()).join(", ");
            let hint = if similar.is_empty() { String::new() } else { format!("; there is {similar}") };
            return Err(format!("there is no file {path}{hint}"));
        }
        match edit::apply(path, body, old.as_deref())? {
            Edit::Nothing => Ok("it says this already; nothing is changed".to_owned()),
            Edit::Delete => {
                self.set(path, None, rules)?;
                Ok("deleted".to_owned())
            }
            Edit::Text(text) => {
                let encoding = self.files.get(path).and_then(|file| file.encoding.clone());
                let encoding = encoding.or_else(|| rules.repository.decode(path.as_str()).ok().flatten()?.encoding);
                check_text(path, old.as_deref(), &text, encoding.as_deref(), rules)?;
                let done = if old.is_some() { "applied" } else { "created" };
                self.set(path, Some(text), rules)?;
                Ok(done.to_owned())
            }
        }
    }

    /// Finds the file that edits without a path are about: the one of the plan or the draft that has the search lines of the
    /// blocks, or that is most like a whole file.
    fn find_file(&self, body: &str, rules: &EditRules<'_>) -> Result<RepoPath, String> {
        if !edit::has_blocks(body) {
            return self.find_most_like(body, rules);
        }
        let known = rules.targets.iter().chain(self.files.keys());
        let fits = |path: &&RepoPath| {
            let Ok(Some(text)) = self.current(path, rules) else { return false };
            edit::apply(path, body, Some(&text)).is_ok()
        };
        let mut found: Vec<&RepoPath> = known.filter(fits).collect();
        found.sort();
        found.dedup();
        match found[..] {
            [only] => Ok(only.clone()),
            [] => Err("the blocks have no path, and no file of the plan has their search lines; put `### edit PATH` above them".to_owned()),
            _ => Err("the blocks have no path, and several files have their search lines; put `### edit PATH` above them".to_owned()),
        }
    }

    fn find_most_like(&self, body: &str, rules: &EditRules<'_>) -> Result<RepoPath, String> {
        let like = |path: &RepoPath| {
            let text = self.current(path, rules).ok().flatten().unwrap_or_default();
            if text.trim().is_empty() { 0 } else { edit::likeness(body, &plain(&text)) }
        };
        let mut found: Vec<(usize, &RepoPath)> = rules.targets.iter().map(|path| (like(path), path)).collect();
        found.sort_by_key(|(like, _)| std::cmp::Reverse(*like));
        match found[..] {
            [(best, path), (next, _), ..] if best > next => Ok(path.clone()),
            [(best, path)] if best > 0 => Ok(path.clone()),
            _ => Err("nobody knows which file the ``` block is; put `### edit PATH` or `### create PATH` above it"
                .to_owned()),
        }
    }

    fn set(&mut self, path: &RepoPath, new: Option<String>, rules: &EditRules<'_>) -> Result<(), String> {
        if let Some(file) = self.files.get_mut(path) {
            file.new = new;
            return Ok(());
        }
        let old = rules.repository.decode(path.as_str())?;
        let encoding = old.as_ref().and_then(|old| old.encoding.clone());
        self.files.insert(path.clone(), DraftFile { old, new, encoding });
        Ok(())
    }

    /// Returns a file with the draft's changes, with its own line ends.
    fn current(&self, path: &RepoPath, rules: &EditRules<'_>) -> Result<Option<String>, String> {
        match self.files.get(path) {
            Some(file) => Ok(file.new.clone()),
            None => Ok(rules
                .repository
                .decode(path.as_str())
                .map_err(|problem| format!("{path} cannot be changed: {problem}"))?
                .map(|old| old.text)),
        }
    }

    fn existing(&self, path: &RepoPath, rules: &EditRules<'_>) -> Result<String, String> {
        self.current(path, rules)?.ok_or_else(|| format!("there is no file {path}"))
    }

    fn check_size(&self) -> Result<(), String> {
        let count = self.list_changed().count();
        if count > MAX_FILES {
            return Err(format!("the change would have {count} files, more than {MAX_FILES}"));
        }
        let lines: usize = self.diff().lines().filter(|line| line.starts_with(['+', '-'])).count();
        if lines > MAX_CHANGED_LINES {
            return Err(format!(
                "the change would have {lines} lines, more than {MAX_CHANGED_LINES}; make a smaller one"
            ));
        }
        Ok(())
    }
}

/// Returns whether blocks write a file that does not exist: their search part is empty.
fn is_creation(body: &str) -> bool {
    let mut lines = body.lines().skip_while(|line| !edit::is_block_start(line)).skip(1);
    lines.next().is_some_and(|line| line.trim().starts_with("====="))
}

fn checked(path: &str, rules: &EditRules<'_>) -> Result<RepoPath, String> {
    let parsed = RepoPath::parse(path).map_err(|error| error.to_string())?;
    // `a/` and `b/` stand in diffs in front of a path.
    let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).and_then(|bare| RepoPath::parse(bare).ok());
    let path = match bare {
        Some(bare) if !rules.repository.contains(parsed.as_str()) && rules.repository.contains(bare.as_str()) => bare,
        _ => parsed,
    };
    if path.may_hold_secrets() {
        return Err(format!("{path} must not be changed: it may hold secrets"));
    }
    match rules.editable.protection(&path) {
        Some(reason) => Err(format!("{path} must not be changed: {reason}")),
        None => Ok(path),
    }
}

/// Returns what is wrong with the new text of a file, for the model.
pub(crate) fn check_text(
    path: &RepoPath,
    old: Option<&str>,
    new: &str,
    encoding: Option<&str>,
    rules: &EditRules<'_>,
) -> Result<(), String> {
    if old.is_some_and(|old| old.starts_with(LFS_POINTER)) {
        return Err("it is a pointer of Git LFS, and the content is not here; change something else".to_owned());
    }
    if new.len() > MAX_FILE_BYTES {
        return Err(format!("the file would grow to {} bytes", new.len()));
    }
    if new.contains('\0') {
        return Err("the file would hold a NUL character".to_owned());
    }
    if rules.redactor.adds_secret(old.unwrap_or_default(), new) {
        let problem = "the file would contain a key or token; read secrets from the environment, and never write one";
        return Err(problem.to_owned());
    }
    edit::encode(new, encoding)?;
    let errors = |text: &str| rules.index.syntax_errors(path.as_str(), text);
    let (before, after) = (old.map(errors).unwrap_or_default(), errors(new));
    match after.first().filter(|_| after.len() > before.len()) {
        // Grammars have faults, and some files had errors before.
        Some(line) => {
            let text = new.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            Err(format!(
                "line {line} would have a syntax error that the file did not have before: `{}`",
                shorten(text.trim(), 120)
            ))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use patchwright_core::Secret;
    use patchwright_testkit::fake::FakeIndex;

    use super::*;
    use crate::repository::tests::tree_of;

    const CALC: &str = "def add(a, b):\r\n    return a - b\r\n";
    const BLOCK: &str = "<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n";

    /// Applies actions to a small repository in turn.
    fn draft(actions: &[Action]) -> (Draft, Vec<Result<String, String>>) {
        let repository = Repository::open(Arc::new(tree_of(&[
            ("src/calc.py", CALC),
            ("src/other.py", "x = 1\ny = 2\n"),
            (".github/workflows/ci.yml", "on: push\n"),
            (".npmrc", "token=1\n"),
        ])));
        let targets = ["src/calc.py", "src/other.py"].map(|path| RepoPath::parse(path).unwrap());
        let redactor = Redactor::new([&Secret::new("sk-very-secret-key")]);
        let rules = EditRules {
            repository: &repository,
            index: &FakeIndex,
            redactor: &redactor,
            editable: &EditablePaths::default(),
            targets: &targets,
        };
        let mut draft = Draft::default();
        let done = actions.iter().map(|action| draft.apply(action, &rules)).collect();
        (draft, done)
    }

    fn edit(path: Option<&str>, body: &str) -> Action {
        Action::Edit { path: path.map(str::to_owned), body: body.to_owned() }
    }

    fn create(path: &str, text: &str) -> Action {
        Action::Create { path: path.to_owned(), body: format!("```\n{text}\n```") }
    }

    fn problem(action: Action) -> String {
        let (draft, done) = draft(&[action]);
        assert!(draft.is_empty(), "a refused edit leaves no trace");
        done.into_iter().next().unwrap().unwrap_err()
    }

    #[test]
    fn edits_of_several_files_are_one_change_and_keep_what_their_files_had() {
        let rename = Action::Rename { from: "src/other.py".into(), to: "src/new/other.py".into() };
        let (draft, done) = draft(&[edit(Some("src/calc.py"), BLOCK), create("tests/test_calc.py", "x = 1"), rename]);
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        let texts: Vec<(String, Option<String>)> =
            draft.contents().into_iter().map(|file| (file.path.to_string(), file.text)).collect();
        let text = |path: &str| texts.iter().find(|(known, _)| known == path).unwrap().1.clone();
        assert_eq!(text("src/calc.py").unwrap(), CALC.replace("a - b", "a + b"));
        assert_eq!((text("src/other.py"), text("src/new/other.py").as_deref()), (None, Some("x = 1\ny = 2\n")));
        assert!(draft.has_test() && draft.diff().contains("+++ b/tests/test_calc.py"));
    }

    #[test]
    fn an_edit_without_a_path_is_of_the_file_that_has_its_lines() {
        assert_eq!(draft(&[edit(None, BLOCK)]).0.paths()[0].as_str(), "src/calc.py");
        assert_eq!(draft(&[edit(None, "```python\nx = 1\ny = 3\n```")]).0.paths()[0].as_str(), "src/other.py");
        assert_eq!(draft(&[edit(Some("a/src/calc.py"), BLOCK)]).0.paths()[0].as_str(), "src/calc.py");
        assert!(problem(edit(None, &BLOCK.replace("a - b", "a / b"))).contains("put `### edit PATH` above"));
        assert!(problem(edit(None, "```python\nz = 3\n```")).contains("nobody knows which file"));
    }

    #[test]
    fn an_edit_that_comes_back_to_the_base_changes_nothing() {
        let back = BLOCK.replace("a - b", "?").replace("a + b", "a - b").replace('?', "a + b");
        let (draft, done) = draft(&[edit(Some("src/calc.py"), BLOCK), edit(Some("src/calc.py"), &back)]);
        assert!(draft.is_empty() && done.iter().all(Result::is_ok), "{done:?}");
    }

    #[test]
    fn what_must_not_be_changed_is_refused_with_the_reason() {
        assert!(problem(edit(Some(".github/workflows/ci.yml"), "```\non: [push]\n```")).contains("CI configuration"));
        assert!(problem(create(".npmrc", "token=2")).contains("must not be changed"));
        assert!(problem(create("../x.py", "x")).contains("`..`"));
        assert!(problem(create("src/calc.py", "x = 1")).contains("exists already"));
        assert!(problem(create("src/key.py", "KEY = 'sk-very-secret-key'")).contains("key or token"));
        assert!(
            problem(edit(Some("src/calc2.py"), BLOCK)).contains("there is no file src/calc2.py; there is src/calc.py")
        );
        assert!(problem(Action::Delete { path: "src/none.py".into() }).contains("there is no file"));
        let many = (0..=MAX_CHANGED_LINES).map(|n| format!("x{n} = 1\n")).collect::<String>();
        assert!(problem(create("src/long.py", &many)).contains("make a smaller one"));
    }

    #[test]
    fn a_draft_that_was_stored_is_the_same() {
        let repository =
            Repository::open(Arc::new(tree_of(&[("src/calc.py", CALC), ("src/other.py", "x = 1\ny = 2\n")])));
        let (before, _) = draft(&[edit(Some("src/calc.py"), BLOCK), Action::Delete { path: "src/other.py".into() }]);
        let restored = Draft::restore(&before.contents(), &repository);
        assert_eq!((restored.contents(), restored.diff()), (before.contents(), before.diff()));
    }

    #[derive(serde::Deserialize)]
    struct Row {
        name: String,
        targets: Vec<String>,
        answer: String,
        #[serde(default)]
        files: std::collections::BTreeMap<String, Option<String>>,
        refused: Option<String>,
    }

    /// Answers as models write them, and what becomes of each.
    #[test]
    fn every_answer_of_the_table_is_applied_or_refused_as_it_says() {
        let long: String = (1..=40).map(|n| format!("line_{n} = {n}\n")).collect();
        let repository = Repository::open(Arc::new(tree_of(&[
            ("calc.py", "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a + a\n"),
            ("long.py", &long),
            ("twice.py", "x = 1\ny = 2\nx = 1\n"),
            ("doc.md", "# Demo\n\n```sh\npip install demo\n```\n\nInstall\n=======\n\nMore.\n"),
        ])));
        let redactor = Redactor::new([&Secret::new("sk-very-secret-key")]);
        let rows: Vec<Row> =
            include_str!("answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(rows.len() >= 60, "{}", rows.len());
        let mut wrong = Vec::new();
        for Row { name, targets, answer, files, refused } in rows {
            let targets: Vec<RepoPath> = targets.iter().map(|path| RepoPath::parse(path).unwrap()).collect();
            let editable = EditablePaths::default();
            let rules = EditRules {
                repository: &repository,
                index: &FakeIndex,
                redactor: &redactor,
                editable: &editable,
                targets: &targets,
            };
            let mut draft = Draft::default();
            let done = super::super::actions::parse(&answer, &targets).and_then(|actions| {
                actions
                    .iter()
                    .filter(|action| action.is_edit())
                    .try_for_each(|action| draft.apply(action, &rules).map(|_| ()))
            });
            let found: std::collections::BTreeMap<String, Option<String>> =
                draft.contents().into_iter().map(|file| (file.path.to_string(), file.text)).collect();
            match (done, refused) {
                (Ok(()), None) if found == files => {}
                (Err(problem), Some(expected)) if problem.contains(&expected) => {}
                (Ok(()), _) => wrong.push(format!("{name}: applied as {found:?}")),
                (Err(problem), _) => wrong.push(format!("{name}: refused: {problem}")),
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
