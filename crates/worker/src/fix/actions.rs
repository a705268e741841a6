//! The actions in a model's answer.
//!
//! The text form has a heading for each action (`### edit src/a.py`) with its blocks or its fence below. What models write
//! besides is understood too where it is clear: a path on a line of its own, in bold or in the fence, and blocks without any
//! path, if one file has their lines. Calls of tools have the same names.

use std::sync::LazyLock;

use patchwright_domain::RepoPath;
use regex::Regex;

use super::calls::calls_in;
use crate::edit;
use crate::prompt::extract;

/// One thing that the model does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Searches the texts of the repository.
    Search {
        /// A regular expression, or words.
        pattern: String,
        /// Where to search; empty for everywhere.
        path: String,
    },
    /// Reads lines or a definition of a file.
    Read {
        /// The file, relative to the repository.
        path: String,
        /// Lines such as `10-60`, or a definition; empty for the whole.
        part: String,
    },
    /// Lists the definitions of a file, or the entries of a folder.
    Outline {
        /// A file or a folder.
        path: String,
    },
    /// Finds the uses of a name.
    References {
        /// An identifier, without the names around it.
        symbol: String,
    },
    /// Changes a file, by blocks or as a whole; an unknown path is found by the lines.
    Edit {
        /// The file, if it is named.
        path: Option<String>,
        /// The blocks, or the fence.
        body: String,
    },
    /// Writes a new file.
    Create {
        /// Where it is written; no file may be there.
        path: String,
        /// The fence with its text.
        body: String,
    },
    /// Deletes a file.
    Delete {
        /// A file that exists.
        path: String,
    },
    /// Moves a file.
    Rename {
        /// A file that exists.
        from: String,
        /// Where it goes; no file may be there.
        to: String,
    },
    /// Runs tests.
    RunTests {
        /// Files or tests; none for those of the change.
        targets: Vec<String>,
    },
    /// Runs a script.
    Run {
        /// The source text, as it is given to the interpreter.
        script: String,
        /// Its language; empty for Python.
        language: String,
        /// Whether it is meant to fail as long as the fault is there.
        shows_fault: bool,
    },
    /// A call of a tool that cannot be used, with what the model is told.
    Unusable {
        /// What is wrong with it.
        problem: String,
    },
    /// Ends the work.
    Finish {
        /// What was done.
        summary: String,
    },
}

impl Action {
    /// Returns whether it only looks at something.
    pub const fn is_look(&self) -> bool {
        matches!(
            self,
            Self::Search { .. }
                | Self::Read { .. }
                | Self::Outline { .. }
                | Self::References { .. }
                | Self::RunTests { .. }
                | Self::Run { .. }
        )
    }

    /// Returns whether it only reads, without running anything.
    pub const fn is_read(&self) -> bool {
        self.is_look() && !matches!(self, Self::RunTests { .. } | Self::Run { .. })
    }

    /// Returns whether it changes a file.
    pub const fn is_edit(&self) -> bool {
        matches!(
            self,
            Self::Edit { .. } | Self::Create { .. } | Self::Delete { .. } | Self::Rename { .. } | Self::Unusable { .. }
        )
    }

    /// Returns it on one line, for the model and for people.
    pub fn name(&self) -> String {
        match self {
            Self::Search { pattern, path } => format!("search {pattern} {path}"),
            Self::Read { path, part } => format!("read {path} {part}"),
            Self::Outline { path } => format!("outline {path}"),
            Self::References { symbol } => format!("references {symbol}"),
            Self::Edit { path, .. } => format!("edit {}", path.as_deref().unwrap_or_default()),
            Self::Create { path, .. } => format!("create {path}"),
            Self::Delete { path } => format!("delete {path}"),
            Self::Rename { from, to } => format!("rename {from} {to}"),
            Self::RunTests { targets } => format!("run_tests {}", targets.join(" ")),
            Self::Run { shows_fault: true, .. } => "reproduce".to_owned(),
            Self::Run { .. } => "run".to_owned(),
            Self::Unusable { .. } => "a call".to_owned(),
            Self::Finish { .. } => "finish".to_owned(),
        }
        .trim_end()
        .to_owned()
    }
}

/// The most actions of one answer.
const MAX_ACTIONS: usize = 40;

/// What begins a section of an answer.
enum Heading {
    Verb(String, String),
    Path(String),
}

/// Reads the actions of an answer. `targets` are the files of the plan: an answer without any path is about them.
///
/// # Errors
/// A message for the model, if there is no action in it.
pub fn parse(answer: &str, targets: &[RepoPath]) -> Result<Vec<Action>, String> {
    let answer = answer.replace("\r\n", "\n");
    let (called, words) = calls_in(&answer);
    let mut actions: Vec<Action> =
        called.into_iter().map(|call| call.unwrap_or_else(|problem| Action::Unusable { problem })).collect();
    for (heading, body) in sections(&words) {
        match action_of(heading, &body, targets) {
            Ok(found) => actions.extend(found),
            // What can be used of the others is.
            Err(problem) if !actions.is_empty() => actions.push(Action::Unusable { problem }),
            Err(problem) => return Err(problem),
        }
    }
    if let [Action::Unusable { problem }] = &actions[..] {
        return Err(problem.clone());
    }
    if actions.is_empty() {
        return Err("it holds no action, and no ``` block or search/replace block with an edit".to_owned());
    }
    if actions.len() > MAX_ACTIONS {
        return Err(format!("it holds {} actions, more than {MAX_ACTIONS}", actions.len()));
    }
    Ok(actions)
}

/// Splits an answer at its headings. Lines inside of blocks and fences are no headings.
fn sections(answer: &str) -> Vec<(Option<Heading>, String)> {
    let lines: Vec<&str> = answer.split_inclusive('\n').collect();
    let mut found: Vec<(Option<Heading>, String)> = vec![(None, String::new())];
    let mut in_block = false;
    let mut fence: Option<usize> = None;
    for (at, line) in lines.iter().enumerate() {
        if in_block {
            in_block = !edit::is_block_end(line);
        } else if edit::is_block_start(line) {
            in_block = true;
        } else if let Some(length) = fence {
            let marks = fence_marks(line);
            if marks >= length && line.trim().len() == marks {
                fence = None;
            }
        } else if fence_marks(line) >= 3 {
            fence = Some(fence_marks(line));
            // ```python:src/a.py, ```src/a.py
            let info = line.trim().trim_start_matches('`');
            let named = info.rsplit_once(':').map_or(info, |(_, path)| path).trim();
            let has_name = matches!(found.last(), Some((None | Some(Heading::Path(_)), _)));
            if has_name && looks_like_path(named) && named.contains(['/', '.']) {
                found.push((Some(Heading::Path(named.to_owned())), String::new()));
            }
        } else if let Some(heading) = heading(line, &lines[at + 1..]) {
            found.push((Some(heading), String::new()));
            continue;
        }
        found.last_mut().expect("there is a section").1.push_str(line);
    }
    found
}

pub(super) fn fence_marks(line: &str) -> usize {
    line.trim_start().bytes().take_while(|byte| *byte == b'`').count()
}

fn heading(line: &str, below: &[&str]) -> Option<Heading> {
    static VERB: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)^\s*(?:#{1,6}\s*|[-*]\s+|\*\*\s*)?`?(search|read|outline|references|edit|create|delete|rename|run_tests|run|reproduce|finish)\b`?\s*:?\s*(.*?)\s*$",
        )
        .expect("the expression is valid")
    });
    let next = below.iter().find(|line| !line.trim().is_empty());
    let has_body = next.is_some_and(|next| edit::is_block_start(next) || fence_marks(next) >= 3);
    if let Some(found) = VERB.captures(line) {
        let (verb, rest) = (found[1].to_lowercase(), found[2].trim_matches(|c| c == '`' || c == '*').trim().to_owned());
        // A list and bold words may be prose about what is going to be done.
        let is_clear = match (line.trim_start().chars().next(), verb.as_str()) {
            (Some('#'), "run" | "reproduce") => has_body || rest.is_empty(),
            (Some('#'), _) => true,
            (Some('-' | '*'), "edit" | "create") => has_body,
            (Some('-' | '*'), "read" | "outline") => {
                rest.split_whitespace().count() <= 2
                    && rest.split_whitespace().next().is_some_and(|path| looks_like_path(&unquoted(path)))
            }
            _ => false,
        };
        if is_clear {
            return Some(Heading::Verb(verb, rest));
        }
    }
    // A path alone, right above a block or a fence.
    if !has_body {
        return None;
    }
    let bare = line.trim().trim_start_matches(['#', '*', '-', ' ']);
    let bare = bare.strip_prefix("File:").or_else(|| bare.strip_prefix("In ")).unwrap_or(bare);
    let bare = bare.trim_matches(|c: char| c.is_whitespace() || matches!(c, '`' | '*' | ':'));
    looks_like_path(bare).then(|| Heading::Path(bare.to_owned()))
}

fn looks_like_path(text: &str) -> bool {
    let is_part =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+' | '[' | ']' | '(' | ')');
    let has_form = text.contains('/') || text.contains('.') || matches!(text, "Makefile" | "Dockerfile" | "Rakefile");
    !text.is_empty() && text.len() < 300 && text.chars().all(is_part) && has_form && RepoPath::parse(text).is_ok()
}

fn action_of(heading: Option<Heading>, body: &str, targets: &[RepoPath]) -> Result<Vec<Action>, String> {
    let Some(heading) = heading else { return Ok(without_heading(body, targets)) };
    let (verb, rest) = match heading {
        Heading::Path(path) => return Ok(vec![Action::Edit { path: Some(path), body: body.to_owned() }]),
        Heading::Verb(verb, rest) => (verb, rest),
    };
    let (first, second) = rest.split_once(char::is_whitespace).map_or((rest.as_str(), ""), |(a, b)| (a, b.trim()));
    let path = unquoted(first);
    let needs = |what: &str| if path.is_empty() { Err(format!("`{verb}` names no {what}")) } else { Ok(()) };
    let action = match verb.as_str() {
        "search" => {
            needs("pattern")?;
            let (pattern, path) = pattern_and_path(&rest);
            Action::Search { pattern, path }
        }
        "read" => {
            needs("file")?;
            // `a.py:10-20` and `a.py#L10`
            let (path, part) = match path.split_once([':', '#']) {
                Some((path, part)) if second.is_empty() => (path.to_owned(), part.trim_start_matches('L').to_owned()),
                _ => (path.clone(), unquoted(second)),
            };
            Action::Read { path, part }
        }
        "outline" => Action::Outline { path },
        "references" => {
            needs("symbol")?;
            Action::References { symbol: path }
        }
        "edit" => {
            needs("file")?;
            Action::Edit { path: Some(path), body: body.to_owned() }
        }
        "create" => {
            needs("file")?;
            Action::Create { path, body: body.to_owned() }
        }
        "delete" => {
            needs("file")?;
            Action::Delete { path }
        }
        "rename" => {
            needs("file")?;
            let to = unquoted(second.trim_start_matches("->").trim_start_matches("to ").trim());
            if to.is_empty() {
                return Err("`rename` names no new path".to_owned());
            }
            Action::Rename { from: path, to }
        }
        "run_tests" => Action::RunTests {
            targets: rest.split([' ', ',']).map(unquoted).filter(|target| !target.is_empty()).collect(),
        },
        "run" | "reproduce" => {
            let script =
                extract::fenced(body).first().map_or_else(|| body.trim().to_owned(), |script| (*script).to_owned());
            let language = fence_language(body).unwrap_or(first.to_lowercase());
            if script.trim().is_empty() {
                return Err(format!("`{verb}` has no script below it"));
            }
            Action::Run { script, language, shows_fault: verb == "reproduce" }
        }
        _ => Action::Finish { summary: [rest.as_str(), body.trim()].join("\n").trim().to_owned() },
    };
    Ok(vec![action])
}

/// Reads `"a pattern" path`, `a pattern in path` and `pattern path`.
fn pattern_and_path(rest: &str) -> (String, String) {
    let rest = rest.trim();
    for quote in ['"', '\'', '`'] {
        if let Some(inside) = rest.strip_prefix(quote)
            && let Some(end) = inside.rfind(quote)
        {
            let path = inside[end + 1..].trim().trim_start_matches("in ").trim();
            return (inside[..end].to_owned(), unquoted(path));
        }
    }
    match rest.rsplit_once(" in ").or_else(|| rest.rsplit_once(char::is_whitespace)) {
        Some((pattern, path)) if path.contains('/') || looks_like_path(path) => {
            (pattern.trim().to_owned(), unquoted(path))
        }
        _ => (rest.to_owned(), String::new()),
    }
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(|c| matches!(c, '`' | '"' | '\'' | '*' | ',' | ';')).trim_start_matches("./").to_owned()
}

fn fence_language(body: &str) -> Option<String> {
    let line = body.lines().find(|line| fence_marks(line) >= 3)?;
    let language = line.trim().trim_start_matches('`').trim().to_lowercase();
    (!language.is_empty()).then_some(language)
}

/// Reads what stands before the first heading: nothing, words, or an answer without headings.
fn without_heading(body: &str, targets: &[RepoPath]) -> Vec<Action> {
    let bare = body.trim().trim_matches('`').trim();
    if bare == edit::NOTHING {
        return vec![Action::Finish { summary: String::new() }];
    }
    let only = match targets {
        [only] => Some(only.to_string()),
        _ => None,
    };
    if bare == edit::DELETE {
        return only.map(|path| Action::Delete { path }).into_iter().collect();
    }
    if edit::has_blocks(body) {
        return vec![Action::Edit { path: only, body: body.to_owned() }];
    }
    // A fence is one of the plan's files, unless it is an example for a shell.
    let is_shell =
        fence_language(body).is_some_and(|language| matches!(language.as_str(), "sh" | "bash" | "console" | "shell"));
    if extract::fenced(body).is_empty() || is_shell {
        return Vec::new();
    }
    vec![Action::Edit { path: only, body: body.to_owned() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";

    fn targets(paths: &[&str]) -> Vec<RepoPath> {
        paths.iter().map(|path| RepoPath::parse(path).unwrap()).collect()
    }

    fn names(answer: &str) -> Vec<String> {
        parse(answer, &targets(&["src/a.py"])).unwrap().iter().map(Action::name).collect()
    }

    #[test]
    fn an_answer_may_hold_several_actions_and_words() {
        let answer = format!(
            "I will look first.\n\n### read src/b.py 10-20\n### search \"def x\" src/\n### edit src/a.py\n{BLOCK}\
             ### create tests/test_a.py\n```python\ndef test_a():\n    pass\n```\n### delete old.py\n### rename c.py d.py\n\
             ### run_tests tests/test_a.py\n### run\n```python\nprint(1)\n```\n### finish It adds now.\n"
        );
        assert_eq!(
            names(&answer),
            [
                "read src/b.py 10-20",
                "search def x src/",
                "edit src/a.py",
                "create tests/test_a.py",
                "delete old.py",
                "rename c.py d.py",
                "run_tests tests/test_a.py",
                "run",
                "finish"
            ]
        );
    }

    #[test]
    fn what_stands_in_a_block_or_a_fence_is_no_heading() {
        let answer = "### create docs/a.md\n````md\n# Title\n### delete src/a.py\n```\n### finish\n```\n````\n";
        assert_eq!(names(answer), ["create docs/a.md"]);
        let inside = "### edit docs/a.md\n<<<<<<< SEARCH\n### finish\n=======\n### delete x.py\n>>>>>>> REPLACE\n";
        assert_eq!(names(inside), ["edit docs/a.md"]);
    }

    #[test]
    fn a_path_above_its_block_is_a_heading_however_it_is_written() {
        for heading in ["src/b.py", "`src/b.py`", "**src/b.py**:", "### src/b.py", "File: src/b.py", "In src/b.py:"] {
            assert_eq!(names(&format!("Here:\n{heading}\n{BLOCK}")), ["edit src/b.py"], "{heading}");
            assert_eq!(names(&format!("{heading}\n\n```python\n{BLOCK}```\n")), ["edit src/b.py"], "{heading}");
        }
        assert_eq!(names(&format!("```python:src/b.py\n{BLOCK}```\n")), ["edit src/b.py"]);
        assert_eq!(names("```src/b.py\nx = 1\n```\n"), ["edit src/b.py"]);
    }

    #[test]
    fn an_answer_without_a_path_is_about_the_only_file_of_the_plan() {
        assert_eq!(names("```python\nx = 1\n```"), ["edit src/a.py"]);
        assert_eq!(names(BLOCK), ["edit src/a.py"]);
        assert_eq!(names("DELETE FILE"), ["delete src/a.py"]);
        assert_eq!(names("NO CHANGE"), ["finish"]);
        let two = targets(&["src/a.py", "src/b.py"]);
        assert_eq!(parse(BLOCK, &two).unwrap(), [Action::Edit { path: None, body: BLOCK.to_owned() }]);
        let whole = "```python\nx = 1\n```";
        assert_eq!(parse(whole, &two).unwrap(), [Action::Edit { path: None, body: whole.to_owned() }]);
        assert!(parse("Run it:\n```sh\npytest\n```", &two).is_err());
    }

    #[test]
    fn an_answer_without_an_action_is_refused_with_a_message() {
        for answer in ["", "I am done.", "Let me look at the file.", "### edit\n", "### rename a.py\n", "### run\n"] {
            assert!(parse(answer, &targets(&["src/a.py"])).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_list_about_what_is_done_is_no_action() {
        let prose = "- Delete src/old.py later, it is still used\n- Run the suite afterwards\n- Finish the fix\n- Read the issue again\n";
        assert_eq!(names(&format!("{prose}### edit src/a.py\n{BLOCK}")), ["edit src/a.py"]);
        assert_eq!(names(&format!("## Run the tests\n\nThey pass.\n\n### edit src/a.py\n{BLOCK}")), ["edit src/a.py"]);
    }

    #[test]
    fn a_call_that_is_written_as_text_is_an_action() {
        let text =
            "<tool_call>\n{\"name\": \"read\", \"arguments\": {\"path\": \"a.py\", \"lines\": \"1-9\"}}\n</tool_call>";
        assert_eq!(names(text), ["read a.py 1-9"]);
    }

    #[test]
    fn parts_and_patterns_are_read_as_they_are_written() {
        assert_eq!(names("### read a.py:10-20"), ["read a.py 10-20"]);
        assert_eq!(names("### read `a.py` `Class.method`"), ["read a.py Class.method"]);
        assert_eq!(names("### search foo(x) in src/a"), ["search foo(x) src/a"]);
        assert_eq!(names("### search two words"), ["search two words"]);
        assert_eq!(names("- read a.py"), ["read a.py"]);
    }

    #[test]
    fn whatever_comes_nothing_panics() {
        let mut random = fastrand::Rng::with_seed(3);
        let pieces = [
            "### edit ",
            "### ",
            "a.py",
            "\n",
            "```",
            "```py\n",
            BLOCK,
            "=======\n",
            "é",
            "<tool_call>{",
            "}</tool_call>",
            "`",
            "### run\n",
            ": ",
            "NO CHANGE",
        ];
        for _ in 0..20_000 {
            let answer: String = (0..random.usize(..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let _ = parse(&answer, &targets(&["src/a.py"]));
        }
    }
}
