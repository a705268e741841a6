//! The order of the runs, with a scripted sandbox.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use TestOutcome::{Failed, Passed};
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, Exceeded, ProgramReport, ProgramRequest, Selection, Suite, TestOutcome,
};

use super::*;

/// A base in which the function is wrong, and a change with or without the right one.
struct Source {
    head: &'static str,
}

#[async_trait]
impl TreeSource for Source {
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError> {
        std::fs::create_dir_all(folder.join("tests")).unwrap();
        let (code, test) = match side {
            Side::Base => ("wrong", "def test_old():\n    pass\n"),
            Side::Head => (self.head, "def test_old():\n    pass\n\ndef test_new():\n    pass\n"),
        };
        std::fs::write(folder.join("code.py"), code).unwrap();
        std::fs::write(folder.join("tests/test_code.py"), test).unwrap();
        Ok(())
    }
}

type Answer = dyn Fn(&str, &str, &Selection) -> CheckReport + Send + Sync;

/// Runs a function of the code, the test file and the selection, and keeps what it was asked.
struct Sandboxed {
    answer: Box<Answer>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Sandbox for Sandboxed {
    fn isolation(&self) -> &'static str {
        "strong"
    }

    async fn probe(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn find_suites(&self, _: SuiteQuery) -> Result<Vec<Suite>, SandboxError> {
        let near = vec!["tests/test_code.py".to_owned()];
        Ok(vec![Suite { ecosystem: "python".to_owned(), near, ..Suite::default() }])
    }

    fn input_folder(&self, scratch: &Path) -> PathBuf {
        scratch.to_owned()
    }

    async fn run(&self, _: ProgramRequest, _: &Progress, _: &CancellationToken) -> Result<ProgramReport, SandboxError> {
        unreachable!("the verification runs suites only")
    }

    async fn check(
        &self,
        request: CheckRequest,
        _: &Progress,
        _: &CancellationToken,
    ) -> Result<CheckReport, SandboxError> {
        assert!(request.root.ends_with("tree"), "both trees are at one path");
        let read = |path: &str| std::fs::read_to_string(request.root.join(path)).unwrap();
        let code = read("code.py");
        let what = match &request.selection {
            Selection::All => "all".to_owned(),
            Selection::Parts(_) => "near".to_owned(),
            Selection::Tests(tests) => tests.join(" "),
        };
        if let Some(script) = request.suite.settings.as_ref().and_then(|settings| settings.test.as_ref()) {
            let name = script.strip_prefix("python3 ./").unwrap();
            self.asked.lock().unwrap().push(format!("{code}: {}", read(name)));
            assert!(request.scratch.to_string_lossy().contains("script-scratch-"), "it poisons nothing");
            return Ok(CheckReport { exit_code: Some(i32::from(code == "wrong")), ..report(&[]) });
        }
        self.asked.lock().unwrap().push(format!("{code}: {what}"));
        Ok((self.answer)(&code, &read("tests/test_code.py"), &request.selection))
    }
}

fn report(tests: &[(&str, TestOutcome)]) -> CheckReport {
    patchwright_testkit::fake::report(tests)
}

async fn verified(
    head: &'static str,
    answer: impl Fn(&str, &str, &Selection) -> CheckReport + Send + Sync + 'static,
) -> (Verification, Vec<String>) {
    verified_with(|request| request, head, answer).await
}

async fn verified_after(
    baseline: Baseline,
    head: &'static str,
    answer: impl Fn(&str, &str, &Selection) -> CheckReport + Send + Sync + 'static,
) -> (Verification, Vec<String>) {
    let with = |request| VerificationRequest { baseline: Some(baseline.clone()), ..request };
    verified_with(with, head, answer).await
}

async fn verified_with(
    change: impl Fn(VerificationRequest) -> VerificationRequest,
    head: &'static str,
    answer: impl Fn(&str, &str, &Selection) -> CheckReport + Send + Sync + 'static,
) -> (Verification, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandboxed { answer: Box::new(answer), asked: Mutex::default() };
    let request = VerificationRequest {
        near_only: false,
        changed: ["code.py", "tests/test_code.py"].map(|path| RepoPath::parse(path).unwrap()).to_vec(),
        folder: folder.path().to_owned(),
        settings: None,
        test_command: None,
        grants: SandboxGrants::default(),
        repository: String::new(),
        reproduction: None,
        local_folder: None,
        baseline: None,
        timeout: Duration::from_secs(600),
    };
    let request = change(request);
    let progress = Progress::silent("00000000-0000-0000-0000-000000000001".parse().unwrap());
    let found = verify(&Source { head }, &sandbox, &request, &progress, &CancellationToken::new()).await.unwrap();
    (found, sandbox.asked.into_inner().unwrap())
}

/// The new test fails with the wrong code, where the tree has it; another suite has a test that always fails.
fn honest(code: &str, tests: &str, selection: &Selection) -> CheckReport {
    let new = if code == "wrong" { Failed } else { Passed };
    let mut all = vec![("tests/test_code.py::test_old", Passed)];
    if tests.contains("test_new") {
        all.push(("tests/test_code.py::test_new", new));
    }
    if *selection == Selection::All
        || matches!(selection, Selection::Tests(tests) if tests.iter().any(|test| test.contains("far")))
    {
        all.push(("tests/test_far.py::test_far", Failed));
    }
    report(&all)
}

#[tokio::test]
async fn the_tests_near_the_change_are_first_and_what_fails_far_away_is_compared() {
    let (found, asked) = verified("right", honest).await;
    assert_eq!((found.verdict, found.proof), (Verdict::FixedProven, Some(Proof::OwnTest)), "{}", found.explanation);
    assert_eq!(found.fixed, ["tests/test_code.py::test_new"]);
    assert_eq!(found.failing, ["tests/test_far.py::test_far"]);
    assert_eq!(found.compared, Some(Compared { ran: 3, known: 3, complete: true }));
    let far = "tests/test_far.py::test_far";
    let expected = [
        "wrong: near".to_owned(),
        "wrong: tests/test_code.py::test_new".to_owned(),
        "right: near".to_owned(),
        "right: all".to_owned(),
        format!("right: {far}"),
        format!("wrong: {far}"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_new_test_that_still_fails_is_told_apart_from_one_that_always_failed() {
    let (found, asked) = verified("wrong", honest).await;
    assert_eq!(found.verdict, Verdict::StillFailing, "{}", found.explanation);
    assert!(asked.iter().all(|run| !run.ends_with("all")), "the rest is not run for nothing: {asked:?}");
    // Without the tests of the change, the test fails as well: it needs a network, say.
    let offline = |_: &str, _: &str, _: &Selection| report(&[("tests/test_code.py::test_old", Failed)]);
    assert_eq!(verified("right", offline).await.0.verdict, Verdict::NoRegressions);
}

#[tokio::test]
async fn a_test_that_passes_when_it_is_run_again_is_flaky_and_counts_for_nothing() {
    let flaky = |code: &str, tests: &str, selection: &Selection| match selection {
        Selection::Tests(_) => report(&[("tests/test_code.py::test_old", Passed)]),
        _ if code == "right" => {
            report(&[("tests/test_code.py::test_old", Failed), ("tests/test_code.py::test_new", Passed)])
        }
        _ => honest("right", tests, selection),
    };
    let (found, _) = verified("right", flaky).await;
    assert_eq!(found.flaky, ["tests/test_code.py::test_old"]);
    assert_ne!(found.verdict, Verdict::Regressions, "{}", found.explanation);
}

#[tokio::test]
async fn a_rest_that_runs_out_of_time_does_not_throw_away_the_proof() {
    let slow = |code: &str, tests: &str, selection: &Selection| match selection {
        Selection::All => CheckReport { exceeded: Some(Exceeded::Time), build_success: false, ..report(&[]) },
        _ => honest(code, tests, selection),
    };
    let (found, _) = verified("right", slow).await;
    assert_eq!(found.verdict, Verdict::FixedProven, "{}", found.explanation);
    assert!(!found.compared.unwrap().complete && found.explanation.contains("not all of the other tests"), "{found:?}");
}

#[tokio::test]
async fn a_test_far_from_the_change_may_show_the_fix() {
    let far = |code: &str, _: &str, selection: &Selection| {
        let near = ("tests/test_code.py::test_old", Passed);
        match (selection, code) {
            (Selection::All, "wrong") => report(&[near, ("tests/test_far.py::test_far", Failed)]),
            (Selection::Tests(_), "wrong") => report(&[("tests/test_far.py::test_far", Failed)]),
            (Selection::All, _) => report(&[near, ("tests/test_far.py::test_far", Passed)]),
            _ => report(&[near]),
        }
    };
    let (found, _) = verified("right", far).await;
    assert_eq!(
        (found.verdict, found.proof),
        (Verdict::FixedProven, Some(Proof::ExistingTest)),
        "{}",
        found.explanation
    );
    assert_eq!(found.fixed, ["tests/test_far.py::test_far"]);
}

#[tokio::test]
async fn fault_h_a_second_verification_on_a_commit_does_not_run_its_base_again() {
    let baseline = Baseline { commit: "acme/shop@1".to_owned(), known: Arc::default() };
    let (first, _) = verified_after(baseline.clone(), "still wrong", |code, tests, selection| {
        honest(if code == "right" { code } else { "wrong" }, tests, selection)
    })
    .await;
    assert_eq!(first.verdict, Verdict::StillFailing, "{}", first.explanation);
    let (second, asked) = verified_after(baseline.clone(), "right", honest).await;
    assert_eq!(second.verdict, Verdict::FixedProven, "{}", second.explanation);
    let far = "wrong: tests/test_far.py::test_far";
    let on_base: Vec<_> = asked.iter().filter(|run| run.starts_with("wrong")).collect();
    assert_eq!(on_base, [far], "only what nobody has asked before");
    let other = Baseline { commit: "acme/shop@2".to_owned(), ..baseline };
    let (_, asked) = verified_after(other, "right", honest).await;
    assert!(asked.contains(&"wrong: near".to_owned()), "another commit has results of its own");
}

#[tokio::test]
async fn fault_h_a_goal_that_cannot_be_found_by_running_in_time_is_found_by_its_text() {
    let slow = |code: &str, tests: &str, selection: &Selection| {
        if code == "wrong" && !tests.contains("test_new") {
            return CheckReport { exceeded: Some(Exceeded::Time), build_success: false, ..report(&[]) };
        }
        honest(code, tests, selection)
    };
    let (found, _) = verified("wrong", slow).await;
    assert_eq!(found.verdict, Verdict::StillFailing, "{}", found.explanation);
}

#[tokio::test]
async fn a_script_that_fails_before_and_passes_after_is_the_proof_where_no_test_is_and_nothing_broke() {
    let script = Reproduction { language: "python".to_owned(), script: "assert f()".to_owned() };
    let with = |request| VerificationRequest { reproduction: Some(script.clone()), ..request };
    let green = |_: &str, tests: &str, selection: &Selection| honest("right", tests, selection);
    let (found, asked) = verified_with(with, "right", green).await;
    assert_eq!((found.verdict, found.proof), (Verdict::FixedProven, Some(Proof::Reproduction)));
    assert!(!found.shows_no_fault && found.explanation.contains("no test shows it"), "{}", found.explanation);
    let scripts: Vec<&String> = asked.iter().filter(|run| run.contains("assert f()")).collect();
    assert_eq!(scripts, ["wrong: assert f()", "wrong: assert f()", "right: assert f()", "right: assert f()"]);
    let (found, _) = verified_with(with, "wrong", green).await;
    assert_eq!((found.verdict, found.proof), (Verdict::NoRegressions, None), "it fails after the change too");
    let (found, asked) = verified_with(with, "right", honest).await;
    assert_eq!(found.proof, Some(Proof::OwnTest), "a test is the better proof");
    assert!(!asked.iter().any(|run| run.contains("assert f()")));
    let broken = |code: &str, tests: &str, selection: &Selection| {
        honest(if code == "right" { "wrong" } else { "right" }, tests, selection)
    };
    let (found, _) = verified_with(with, "right", broken).await;
    assert_eq!(found.verdict, Verdict::Regressions, "what broke weighs more");
}
