//! The samples of code and the names of tests in an issue.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// How much of an issue is run.
const MAX_SAMPLES: usize = 8;
const MAX_TESTS: usize = 5;
const MAX_SAMPLE_BYTES: usize = 16_000;

/// What of an issue can be run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Samples {
    /// Samples of Python, with or without the prompts of a session.
    pub(super) code: Vec<String>,
    /// Tests by the ids that pytest has for them.
    pub(super) tests: Vec<String>,
}

impl Samples {
    /// Finds the samples and tests in an issue's text. `exists` says whether the repository has a file.
    pub(super) fn find(text: &str, exists: impl Fn(&str) -> bool) -> Self {
        static SESSION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^\s*(?:>>>|\.\.\. |In ?\[\d+\]:)").expect("the expression is valid"));
        static TEST: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\b([\w./-]+\.py)((?:::\w+)+(?:\[[^\]\s]{1,80}\])?)").expect("the expression is valid")
        });
        let mut samples = Self::default();
        // A session that is not fenced.
        let mut session = String::new();
        let mut fence: Option<Fence> = None;
        for line in text.lines() {
            let mark = line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
            match &mut fence {
                Some(open) if mark >= open.mark && line.trim().len() == mark => {
                    samples.code.extend(fence.take().filter(Fence::is_python).map(|fence| fence.text));
                }
                Some(open) => push_line(&mut open.text, line),
                None if mark >= 3 => {
                    let language = line.trim().trim_start_matches('`').trim().to_lowercase();
                    fence = Some(Fence { mark, language, text: String::new() });
                }
                None if SESSION.is_match(line) => push_line(&mut session, line),
                None => {}
            }
        }
        samples.code.extend((!session.is_empty()).then_some(session));
        samples.code.retain(|code| !code.trim().is_empty() && code.len() <= MAX_SAMPLE_BYTES);
        samples.code.truncate(MAX_SAMPLES);
        let named: BTreeSet<(&str, &str)> = TEST
            .captures_iter(text)
            .map(|found| (found.get(1).map_or("", |path| path.as_str()), found.get(2).map_or("", |name| name.as_str())))
            .collect();
        let named = named.into_iter().filter(|(path, _)| !path.starts_with('-') && exists(path));
        samples.tests = named.take(MAX_TESTS).map(|(path, name)| format!("{path}{name}")).collect();
        samples
    }

    pub(super) fn is_empty(&self) -> bool {
        self.code.is_empty() && self.tests.is_empty()
    }
}

struct Fence {
    mark: usize,
    language: String,
    text: String,
}

impl Fence {
    /// Returns whether a block can be Python: it says so, or says nothing.
    fn is_python(&self) -> bool {
        let language = self.language.split([' ', '{', ',']).next().unwrap_or_default();
        matches!(language, "" | "py" | "python" | "python3" | "pycon" | "ipython" | "ipython3" | "default")
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_python_sessions_and_named_tests_are_found() {
        let text = "It fails:\n```python\nimport shop\n```\nand\n```sh\nrm -rf /\n```\nor\n>>> shop.net(1)\n2\n\nSee tests/test_shop.py::TestNet::test_one[a-1] and ../etc/x.py::y.\n```\nplain()\n```\n";
        let found = Samples::find(text, |path| path == "tests/test_shop.py");
        assert_eq!(found.code, ["import shop\n", "plain()\n", ">>> shop.net(1)\n"]);
        assert_eq!(found.tests, ["tests/test_shop.py::TestNet::test_one[a-1]"]);
    }

    #[test]
    fn prose_and_other_languages_are_no_samples() {
        assert!(Samples::find("It fails.\n```js\nfetch()\n```\n```console\n$ x\n```\n", |_| true).is_empty());
        assert!(Samples::find("An open fence\n```python\nx = 1\n", |_| true).is_empty());
    }
}
