//! Suites of real runners, with and without isolation.

use std::collections::BTreeMap;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, Exceeded, Sandbox as _, SandboxError, Selection, SuiteQuery, TestOutcome,
};
use patchwright_domain::RepoPath;
use patchwright_sandbox::{BackendChoice, LocalSandbox, SandboxOptions, SandboxPolicy};
use patchwright_testkit::has_isolation;

/// A repository's folder.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join("tree").join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Self(folder)
    }

    async fn check_with(
        &self,
        sandbox: &LocalSandbox,
        changed: &[&str],
        selection: impl Fn(&[String]) -> Selection,
        timeout: Duration,
    ) -> Result<CheckReport, SandboxError> {
        let root = self.0.path().join("tree");
        let changed = changed.iter().map(|path| RepoPath::parse(path).unwrap()).collect();
        let query = SuiteQuery { root: root.clone(), changed, ..SuiteQuery::default() };
        let suite = sandbox.find_suites(query).await?.remove(0);
        let selection = selection(&suite.near);
        let scratch = self.0.path().join("scratch");
        let request =
            CheckRequest { root, scratch, suite, selection, local_folder: None, has_base_manifests: true, timeout };
        let job = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        sandbox.check(request, &Progress::silent(job), &CancellationToken::new()).await
    }

    async fn check(&self, sandbox: &LocalSandbox) -> Result<CheckReport, SandboxError> {
        self.check_with(sandbox, &[], |_| Selection::All, Duration::from_secs(120)).await
    }
}

fn options() -> SandboxOptions {
    let mut env = BTreeMap::new();
    let rustup = std::env::var("RUSTUP_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.rustup")));
    env.extend(rustup.ok().map(|folder| ("RUSTUP_HOME".to_owned(), folder)));
    let path = std::env::var("PATH").unwrap();
    SandboxOptions { policy: SandboxPolicy::BestEffort, path, env, ..SandboxOptions::default() }
}

/// The sandboxes of this machine: without isolation and, where it works, with it.
fn sandboxes() -> Vec<LocalSandbox> {
    let plain = SandboxOptions { backend: BackendChoice::None, ..options() };
    let mut all = vec![LocalSandbox::new(plain)];
    all.extend(has_isolation().then(|| LocalSandbox::new(options())));
    all
}

const CALC: &str = "def add(a, b):\n    return a - b\n";
const CALC_TEST: &str = "import unittest\nfrom calc import add\n\nclass Calc(unittest.TestCase):\n    def test_add(self):\n        \
    self.assertEqual(add(1, 2), 3)\n    def test_zero(self):\n        self.assertEqual(add(0, 0), 0)\n";

#[tokio::test]
async fn untrusted_code_is_refused_where_nothing_isolates_it() {
    let options = SandboxOptions { policy: SandboxPolicy::Require, backend: BackendChoice::None, ..options() };
    let sandbox = LocalSandbox::new(options);
    let refused = Tree::new(&[("test_a.py", CALC_TEST)]).check(&sandbox).await.unwrap_err();
    assert!(refused.to_string().contains("SandboxOptions::policy"), "{refused}");
    assert_eq!(sandbox.isolation(), "none");
}

#[tokio::test]
async fn a_python_suite_is_run_by_name_and_what_failed_has_its_output() {
    for sandbox in sandboxes() {
        let tree = Tree::new(&[("calc.py", CALC), ("tests/test_calc.py", CALC_TEST), ("tests/__init__.py", "")]);
        let report = tree.check(&sandbox).await.unwrap();
        assert!(report.build_success, "{}", report.log_tail);
        assert_eq!((report.results.passed, report.results.failed), (1, 1), "{}", report.log_tail);
        let failed = report.tests.iter().find(|(_, outcome)| **outcome == TestOutcome::Failed).unwrap().0;
        assert!(failed.contains("test_add") && report.failures[failed].contains("-1 != 3"), "{failed}: {report:?}");
        // The same test alone, by the name that the report has.
        let only = |_: &[String]| Selection::Tests(vec![failed.clone()]);
        let again = tree.check_with(&sandbox, &[], only, Duration::from_secs(60)).await.unwrap();
        assert_eq!(again.tests.keys().collect::<Vec<_>>(), [failed]);
        let near = |near: &[String]| Selection::Parts(near.to_vec());
        let near = tree.check_with(&sandbox, &["calc.py"], near, Duration::from_secs(60)).await.unwrap();
        assert_eq!(near.results.total, 2, "{near:?}");
    }
}

#[tokio::test]
async fn a_tree_that_cannot_be_imported_is_not_built_or_has_failed_tests() {
    for sandbox in sandboxes() {
        let tree =
            Tree::new(&[("calc.py", "def add(a, b:\n"), ("tests/test_calc.py", CALC_TEST), ("tests/__init__.py", "")]);
        let report = tree.check(&sandbox).await.unwrap();
        assert!(!report.build_success || report.results.failed > 0, "{}", report.log_tail);
    }
}

#[tokio::test]
async fn a_cargo_project_is_run_and_an_invalid_one_is_not_built() {
    let toml = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let good = "pub fn add(a: i32, b: i32) -> i32 { a + b }\n\n#[test]\nfn adds() { assert_eq!(add(1, 2), 3); }\n";
    for sandbox in sandboxes() {
        let report = Tree::new(&[("Cargo.toml", toml), ("src/lib.rs", good)]).check(&sandbox).await.unwrap();
        assert!(report.build_success && report.results.passed == 1, "{}", report.log_tail);
        let report = Tree::new(&[("Cargo.toml", toml), ("src/lib.rs", "pub fn add(")]).check(&sandbox).await.unwrap();
        assert!(!report.build_success && report.results.total == 0, "{}", report.log_tail);
    }
}

#[tokio::test]
async fn nodes_own_runner_names_tests_by_file_and_suite() {
    let path = std::env::var_os("PATH").unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join("node").is_file()) {
        return;
    }
    let package = r#"{"name":"x","version":"1.0.0","scripts":{"test":"eslint . && node --test test/"}}"#;
    let test = "const { test, describe } = require('node:test');\nconst assert = require('node:assert');\n\
        describe('calc', () => {\n  test('adds', () => assert.equal(1 - 2, 3));\n  test('zero', () => {});\n});\n";
    for sandbox in sandboxes() {
        let tree = Tree::new(&[("package.json", package), ("calc.js", ""), ("test/calc.test.js", test)]);
        let near = |near: &[String]| Selection::Parts(near.to_vec());
        let report = tree.check_with(&sandbox, &["calc.js"], near, Duration::from_secs(60)).await.unwrap();
        assert_eq!((report.results.passed, report.results.failed), (1, 1), "{}", report.log_tail);
        let failed = report.tests.iter().find(|(_, outcome)| **outcome == TestOutcome::Failed).unwrap().0;
        assert!(failed.contains("calc > adds") && !report.failures[failed].is_empty(), "{failed}: {report:?}");
    }
}

#[tokio::test]
async fn a_repository_names_its_own_command_and_report() {
    let settings = "[[suite]]\nbuild = \"echo built > built\"\ntest = \"cat built && mkdir -p out && cp report.xml out/a.xml; exit 3\"\nreport = \"out/*.xml\"\n";
    let xml = r#"<testsuite><testcase classname="A" name="one"/><testcase classname="A" name="two"><failure>no</failure></testcase></testsuite>"#;
    for sandbox in sandboxes() {
        let tree = Tree::new(&[("report.xml", xml)]);
        let root = tree.0.path().join("tree");
        let query = SuiteQuery { root: root.clone(), settings: Some(settings.to_owned()), ..SuiteQuery::default() };
        let suite = sandbox.find_suites(query).await.unwrap().remove(0);
        let request = CheckRequest {
            root,
            scratch: tree.0.path().join("scratch"),
            suite,
            selection: Selection::All,
            local_folder: None,
            has_base_manifests: true,
            timeout: Duration::from_secs(60),
        };
        let job = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let report = sandbox.check(request, &Progress::silent(job), &CancellationToken::new()).await.unwrap();
        assert_eq!((report.results.passed, report.results.failed), (1, 1), "{}", report.log_tail);
        assert_eq!((report.tests["A::two"], report.exit_code), (TestOutcome::Failed, Some(3)));
    }
}

#[tokio::test]
async fn a_suite_that_does_not_end_is_ended_and_a_cancelled_one_too() {
    for sandbox in sandboxes() {
        let sleeps =
            "import time, unittest\nclass A(unittest.TestCase):\n    def test_a(self):\n        time.sleep(100)\n";
        let tree = Tree::new(&[("test_a.py", sleeps)]);
        let report = tree.check_with(&sandbox, &[], |_| Selection::All, Duration::from_secs(3)).await.unwrap();
        assert!(report.exceeded == Some(Exceeded::Time) && !report.build_success, "{report:?}");
    }
}

#[tokio::test]
async fn a_tree_without_tests_is_an_error_of_its_own() {
    for sandbox in sandboxes() {
        let result = Tree::new(&[("README.md", "hi")]).check(&sandbox).await;
        assert!(matches!(result, Err(SandboxError::NoTests)));
    }
}
