//! `patchwright run` and `locate` on a folder.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use patchwright_testkit::server::{LlmServer, Script, git};
use serde_json::{Value, json};

const WRONG: &str = "def add(a, b):\n    return a - b\n";
const RIGHT: &str = "def add(a, b):\n    return a + b\n";
const TEST: &str = "import unittest\n\nfrom calc import add\n\n\nclass CalcTest(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n";

/// A folder with a repository, an issue beside it, and a model that fixes it.
struct Terminal {
    folder: tempfile::TempDir,
    llm: LlmServer,
}

impl Terminal {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("shop");
        std::fs::create_dir_all(repository.join("tests")).unwrap();
        for (path, text) in [("calc.py", WRONG), ("tests/test_calc.py", TEST), ("tests/__init__.py", "")] {
            std::fs::write(repository.join(path), text).unwrap();
        }
        std::fs::set_permissions(repository.join("calc.py"), std::fs::Permissions::from_mode(0o755)).unwrap();
        git(&repository, &["init", "-q", "-b", "main"]);
        git(&repository, &["add", "."]);
        git(&repository, &["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "start"]);
        let plan =
            json!({"root_cause": "-", "fix_strategy": "+", "changes": [{"file": "calc.py", "description": "+"}]});
        let answers = [plan.to_string(), format!("```python\n{RIGHT}```")];
        Self { folder, llm: LlmServer::start(answers.map(Script::Answer).to_vec()) }
    }

    /// The same with a model that does not answer.
    fn with_silent_model() -> Self {
        let llm = LlmServer::start(vec![Script::Silence(Duration::from_secs(120))]);
        Self { llm, ..Self::start() }
    }

    fn repository(&self) -> std::path::PathBuf {
        self.folder.path().join("shop")
    }

    fn spawn(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_patchwright"))
            .args(args)
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("LLM_BASE_URL", self.llm.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs the program; returns its exit code, standard output, and standard error.
    fn run(&self, args: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut child = self.spawn(args);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Self::end(child)
    }

    fn end(child: Child) -> (Option<i32>, String, String) {
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap()
}

const ISSUE: &str = "add() in calc.py subtracts\n\nadd(1, 2) is -1.\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_is_applied_to_the_folder_and_its_patch_is_written_to_a_file() {
    let terminal = Terminal::start();
    let (code, out, err) = terminal.run(&["run", "--issue", "-", "--apply", "-o", "../fix.patch"], ISSUE);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(read(&terminal.repository(), "calc.py"), RIGHT);
    assert!(out.contains("1 file changed") && out.contains("Next: Review the change"), "{out}");
    let mode = std::fs::metadata(terminal.repository().join("calc.py")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "it keeps its mode");
    git(&terminal.repository(), &["checkout", "-q", "."]);
    git(&terminal.repository(), &["apply", "../fix.patch"]);
    assert_eq!(read(&terminal.repository(), "calc.py"), RIGHT, "git takes the patch");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_has_changed_is_not_overwritten() {
    let terminal = Terminal::start();
    let own = format!("# mine\n{WRONG}");
    std::fs::write(terminal.repository().join("calc.py"), &own).unwrap();
    let (code, out, err) = terminal.run(&["run", "--issue", "-", "--apply"], ISSUE);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("uncommitted changes") && err.contains("calc.py changed since the last commit"), "{err}");
    assert!(out.contains("+    return a + b"), "what the run found is printed all the same: {out}");
    assert_eq!(read(&terminal.repository(), "calc.py"), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_of_a_run_has_the_diff_the_plan_and_what_the_tests_show() {
    let terminal = Terminal::start();
    let (code, out, err) = terminal.run(&["run", "--issue", "-", "--json"], ISSUE);
    assert_eq!(code, Some(0), "{out}{err}");
    let result: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert!(result["diff"].as_str().unwrap().contains("+    return a + b"), "{result}");
    assert_eq!(result["plan"]["fix_strategy"], "+");
    assert_eq!(result["tests"]["fixed"].as_array().unwrap().len(), 1);
    assert!(result["explanation"].is_string() && result["status"] == "succeeded", "{result}");
    assert_eq!(read(&terminal.repository(), "calc.py"), WRONG, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_with_a_folder_is_refused_before_anything_is_spent() {
    let terminal = Terminal::start();
    let (code, _, err) = terminal.run(&["run", "--issue", "-", "--pr"], ISSUE);
    assert!(code == Some(1) && err.contains("a folder, which has no pull requests"), "{err}");
    let (code, _, err) = terminal.run(&["run", "--issue", "#7"], "");
    assert!(code == Some(1) && err.contains("owner/name#7"), "{err}");
    let (code, _, err) = terminal.run(&["run", "--issue", "-", "-o", "no/such/folder/x.patch"], ISSUE);
    assert!(code == Some(1) && err.contains("cannot be written to no/such/folder/x.patch"), "{err}");
    let (code, _, err) = terminal.run(&["run", "--issue", "missing.md"], "");
    assert!(code == Some(1) && err.contains("`missing.md` cannot be read"), "{err}");
    let (code, _, err) = terminal.run(&["run", "--repo", "acme/shop", "--issue", "-", "--apply"], ISSUE);
    assert!(code == Some(1) && err.contains("--apply changes the files of a folder"), "{err}");
    assert_eq!(terminal.llm.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_of_locate_is_read_from_standard_input_and_errors_name_the_file() {
    let terminal = Terminal::start();
    let (code, out, _) = terminal.run(&["locate", "--repo", ".", "--issue", "-"], ISSUE);
    assert!(code == Some(0) && out.contains("1. calc.py"), "{out}");
    let (code, _, err) = terminal.run(&["locate", "--repo", ".", "--issue", "missing.md"], "");
    assert!(code == Some(1) && err.contains("`missing.md` cannot be read"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_ended_by_a_signal_says_so_and_what_to_do() {
    let terminal = Terminal::with_silent_model();
    let mut child = terminal.spawn(&["run", "--issue", "-", "--json"]);
    child.stdin.take().unwrap().write_all(ISSUE.as_bytes()).unwrap();
    while terminal.llm.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(done.success());
    let (code, out, err) = Terminal::end(child);
    let result: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, &result["status"]), (Some(130), &"interrupted".into()), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_made_on_the_built_in_forge_or_copied_to_it() {
    let terminal = Terminal::start();
    let data = terminal.folder.path().join("data");
    let data = format!("DATA_DIR={}", data.display());
    let run = |args: &[&str]| terminal.run(&[&["--set", &data], args].concat(), "");
    let (code, out, err) = run(&["repositories", "import", ".", "--name", "acme/shop"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let at = terminal.folder.path().join("data/repositories/acme/shop.git");
    assert!(out.contains(at.to_str().unwrap()) && out.contains("/issues/new?repository=acme/shop"), "{out}");
    assert_eq!(git(&at, &["rev-parse", "main"]), git(&terminal.repository(), &["rev-parse", "main"]));
    let (code, _, err) = run(&["repositories", "import", ".", "--name", "acme/shop"]);
    assert!(code == Some(1) && err.contains("there is a repository acme/shop already"), "{err}");
    let (code, out, err) = run(&["repositories", "create", "acme/new"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let made = terminal.folder.path().join("data/repositories/acme/new.git");
    assert_eq!(git(&made, &["show", "main:README.md"]), "# new");
    let (code, _, err) = run(&["repositories", "import", "missing"]);
    assert!(code == Some(1) && err.contains("missing"), "{err}");
    let (code, _, err) = run(&["repositories", "create", "no-owner"]);
    assert!(code == Some(1) && err.contains("`no-owner` names no repository"), "{err}");
}
