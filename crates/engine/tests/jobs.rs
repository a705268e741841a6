//! The use cases with strict fakes: the texts that users read, and failures in between.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use patchwright_core::Clock as _;
use patchwright_core::forge::{ForgeError, MergeState};
use patchwright_core::llm::LlmError;
use patchwright_core::meter::MeterEvent;
use patchwright_core::model_calls::ModelCalls as _;
use patchwright_core::sandbox::{SandboxError, TestOutcome};
use patchwright_core::store::{ConcurrencyLimits, Store as _};
use patchwright_core::webhook::{Actor, Delivery, InboundComment, InboundEvent, InboundIssue};
use patchwright_core::{CancellationToken, Redactor, Secret};
use patchwright_domain::job::report::{AnalysisMethod, Verdict};
use patchwright_domain::job::stage::StageStatus;
use patchwright_domain::job::{FailureClass, FailureOrigin, Lease, PublishMode, TriggerKind};
use patchwright_domain::node::WorkCommand;
use patchwright_domain::{BranchName, DeliveryId, Effect, IssueStatus, Job, JobStatus, PlatformId, TaskStatus};
use patchwright_engine::{AutoRebase, ControlError, Engine, ManualStart, MarkerKey, Settings, Start};
use patchwright_testkit::build;
use patchwright_testkit::fake::{
    FakeClock, FakeForge, FakeGit, FakeIndex, FakeMeter, FakeStore, ScriptedLlm, ScriptedSandbox, SequentialIds, report,
};
use patchwright_worker::Tools;

const GITHUB: PlatformId = PlatformId::from_static("github");
const FILES: &[(&str, &str)] = &[("src/calc.py", "def add(a, b):\n    return a - b\n"), ("README.md", "demo\n")];
const PLAN: &str = r#"{"root_cause": "add subtracts", "fix_strategy": "Use +", "changes": [{"file": "src/calc.py", "description": "use +"}], "risk_level": "low"}"#;
const CODE: &str = "```python\ndef add(a, b):\n    return a + b\n```";

struct EngineFixture {
    engine: Arc<Engine>,
    store: Arc<FakeStore>,
    forge: Arc<FakeForge>,
    git: FakeGit,
    llm: Arc<ScriptedLlm>,
    clock: Arc<FakeClock>,
    meter: Arc<FakeMeter>,
    /// While it is set, the next worker that starts tests dies.
    die_in_tests: Arc<AtomicBool>,
    /// While it is set, no test is run.
    refuse_tests: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

fn fixture(answers: &[&str]) -> EngineFixture {
    house_with(answers, |_| {})
}

fn house_with(answers: &[&str], change: impl FnOnce(&mut Settings)) -> EngineFixture {
    let (store, forge) = (Arc::new(FakeStore::default()), Arc::new(FakeForge::default()));
    let (llm, clock) = (Arc::new(ScriptedLlm::new(answers)), Arc::new(FakeClock::default()));
    let git = FakeGit::with_files(FILES);
    forge.open_issue(42, "add() subtracts", "`add(1, 2)` is -1.");
    let folder = tempfile::tempdir().unwrap();
    // The tests of this repository: `test_add` passes once `add` adds.
    let die_in_tests = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&die_in_tests);
    let refuse_tests = Arc::new(AtomicBool::new(false));
    let refuse = Arc::clone(&refuse_tests);
    let sandbox = ScriptedSandbox::new(move |request| {
        assert!(!away.swap(false, Ordering::Relaxed), "the worker dies");
        if refuse.load(Ordering::Relaxed) {
            return Err(SandboxError::Refused { reason: "nothing isolates here".to_owned() });
        }
        let text = std::fs::read_to_string(request.root.join("src/calc.py")).unwrap();
        let add = if text.contains("a + b") { TestOutcome::Passed } else { TestOutcome::Failed };
        let other = if text.contains("breaks test_other") { TestOutcome::Failed } else { TestOutcome::Passed };
        Ok(report(&[("test_add", add), ("test_other", other)]))
    });
    let tools = Tools::new(Arc::new(git.clone()), Arc::new(FakeIndex), Arc::new(sandbox))
        .with_llm(Some(llm.clone()))
        .with_redactor(Redactor::new([&Secret::new("fake-git-token")]));
    let mut settings = Settings::new(folder.path().to_owned());
    change(&mut settings);
    let marker = MarkerKey::new(&Secret::new("master"));
    let meter = Arc::new(FakeMeter::default());
    let engine = Engine::builder(store.clone(), tools, settings, marker)
        .forge(forge.clone())
        .ledger(store.clone())
        .nodes(store.clone())
        .notices(store.clone())
        .logs(store.clone())
        .model_calls(store.clone())
        .meter(meter.clone())
        .clock(clock.clone(), Arc::new(SequentialIds::default()));
    let engine = Arc::new(engine.build());
    EngineFixture { engine, store, forge, git, llm, clock, meter, die_in_tests, refuse_tests, _folder: folder }
}

const ALSO: &str = "```python\ndef add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n```";

/// The same user asks for more.
fn more(text: &str) -> ManualStart {
    ManualStart { instructions: Some(text.into()), ..request_of("alice") }
}

fn request_of(actor: &str) -> ManualStart {
    let issue = InboundIssue {
        opened_at: None,
        source: build::source(42),
        title: "add() subtracts".into(),
        body: "`add(1, 2)` is -1.".into(),
        author: "alice".into(),
        labels: Vec::new(),
        is_pull_request: false,
        default_branch: Some(BranchName::parse("main").unwrap()),
    };
    ManualStart { issue, actor: actor.into(), instructions: None, publish: PublishMode::PullRequest }
}

impl EngineFixture {
    /// Alice comments on the issue, and the request is decided.
    async fn comment(&self, id: &str, body: &str) {
        let author = Actor { login: "alice".to_owned(), is_bot: false };
        let comment = InboundComment { id: id.to_owned(), body: body.to_owned(), author };
        let event = InboundEvent::Commented { issue: request_of("alice").issue, comment };
        let id = DeliveryId::parse(id).unwrap();
        let delivery = Delivery { id, event_type: "issue_comment".to_owned(), event };
        self.engine.take(&GITHUB, delivery, "{}").await.unwrap();
        while self.engine.admit_next().await.unwrap().is_some() {}
    }

    async fn start(&self) -> Job {
        let start = request_of("alice");
        self.engine.start(start).await.unwrap()
    }

    /// Runs the next job, and publishes it if it is complete.
    async fn work(&self) -> Option<Job> {
        let job = self.run().await?;
        if job.status() == JobStatus::Publishing {
            while self.engine.deliver_next().await.unwrap().is_some() {}
        }
        self.engine.job(job.id).await.unwrap()
    }

    async fn run(&self) -> Option<Job> {
        let id = self.engine.run_next("worker", &CancellationToken::new()).await.unwrap()?;
        let job = self.engine.job(id).await.unwrap().unwrap();
        if job.published.pushed.is_some() {
            self.forge.note_branch(&job.branch);
        }
        Some(job)
    }

    /// A worker claims the next job for some seconds and never reports again.
    async fn take_silently(&self, n: u32, seconds: i64) {
        let now = self.clock.now();
        let until = now + jiff::SignedDuration::from_secs(seconds);
        let lease = Lease { holder: format!("doomed-{n}"), task_id: build::task_id(900 + n), until };
        self.store.claim_job(now, Arc::new(lease), ConcurrencyLimits::default()).await.unwrap().unwrap();
    }

    /// Delivers everything that becomes due, advancing the clock over the waits.
    async fn deliver_all(&self) {
        for _ in 0..200 {
            while self.engine.deliver_next().await.unwrap().is_some() {}
            if self.store.waiting().is_empty() {
                return;
            }
            self.clock.advance(600);
        }
        panic!("something never goes out: {:?}", self.store.waiting());
    }

    async fn job(&self, job: &Job) -> Job {
        self.engine.job(job.id).await.unwrap().unwrap()
    }
}

/// A fix that breaks another test.
const HARMFUL: &str = "```python\ndef add(a, b):\n    return a + b  # breaks test_other\n```";

#[tokio::test]
async fn fault_c1_a_failed_follow_up_leaves_the_proven_pull_request_as_it_is() {
    let mut answers = GOOD.to_vec();
    answers.extend(["{}", "{}", "nonsense", "more nonsense"]);
    let fixture = fixture(&answers);
    fixture.start().await;
    fixture.work().await.unwrap();
    fixture.deliver_all().await;
    let (_, proven, draft) = fixture.forge.pull_requests().remove(0);
    assert!(proven.starts_with("> Fixed, and tests show it") && !draft, "{proven}");
    fixture.engine.start(more("add sub() too")).await.unwrap();
    let failed = fixture.work().await.unwrap();
    assert_eq!(failed.status(), JobStatus::Failed);
    fixture.deliver_all().await;
    let (_, body, draft) = fixture.forge.pull_requests().remove(0);
    let note =
        format!("> The follow-up job `{}`, requested by alice, failed. What is below still holds.\n\n", failed.id);
    assert_eq!(body.strip_prefix(&note), Some(proven.as_str()), "{body}");
    assert!(!draft && body.contains("Closes #42"));
    let result = fixture.forge.comments_on(42).pop().unwrap();
    assert!(result.contains("The job failed.") && result.contains("Pull request #100 is ready for review"), "{result}");
    let issue = fixture.engine.issue(failed.issue_id).await.unwrap().unwrap();
    assert_eq!(issue.status, IssueStatus::PendingMerge);
}

#[tokio::test]
async fn fault_c2_a_failed_job_says_what_is_known_about_the_commit_on_its_branch() {
    // The first round breaks a test; the second does not come to an edit.
    let fixture = fixture(&[GOOD[0], PLAN, HARMFUL, "no code", "no code", "no code", "no code"]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!((job.status(), job.verdict), (JobStatus::Failed, Some(Verdict::Regressions)), "{:?}", job.failure);
    fixture.deliver_all().await;
    let (_, body, draft) = fixture.forge.pull_requests().remove(0);
    assert!(body.starts_with("> The tests fail with the change: 1 test failed after the change"), "{body}");
    assert!(body.contains("now fails: `test_other`") && body.contains("For #42") && draft, "{body}");
    assert!(!body.contains("Closes"), "{body}");
}

#[tokio::test]
async fn fault_c3_where_no_test_ran_the_verification_is_skipped_and_has_no_results() {
    let fixture = fixture(GOOD);
    fixture.refuse_tests.store(true, Ordering::Relaxed);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::NotRun)), "{:?}", job.failure);
    let record = &job.stages[3];
    assert_eq!((record.status, record.reason.as_deref()), (StageStatus::Skipped, Some("nothing isolates here")));
    let shown = serde_json::to_value(&record.report).unwrap();
    assert!(shown["build_success"].is_null() && shown["test_results"].is_null(), "{shown}");
    assert_eq!(shown["commit"], job.published.pushed.as_ref().unwrap().as_str());
    fixture.deliver_all().await;
    let (_, body, _) = fixture.forge.pull_requests().remove(0);
    assert!(body.contains("| verify | – skipped: nothing isolates here |"), "{body}");
}

#[tokio::test]
async fn fault_c6_a_full_disk_is_not_blamed_on_the_forge_and_shows_no_path() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let full = "write /srv/patchwright/work/x: No space left on device (os error 28)";
    for _ in 0..3 {
        let git = patchwright_core::git::GitError::Unavailable { url: "fake".into(), detail: full.into() };
        fixture.git.fail_next_push(git);
        fixture.work().await.unwrap();
        fixture.clock.advance(3600);
    }
    let job = fixture.store.jobs().remove(0);
    let failure = job.failure.unwrap();
    assert_eq!((job.state.status(), failure.origin), (JobStatus::Failed, FailureOrigin::Machine), "{}", failure.reason);
    assert!(failure.reason.contains("/srv/patchwright"), "the operator reads it");
    fixture.deliver_all().await;
    let result = fixture.forge.comments_on(42).pop().unwrap();
    assert!(result.contains("the machine that ran the job has no disk space"), "{result}");
    let counted = fixture.meter.events();
    let failures: Vec<_> = counted.iter().filter(|event| matches!(event, MeterEvent::JobFailed { .. })).collect();
    assert_eq!(failures, [&MeterEvent::JobFailed { class: FailureClass::Local }]);
    let ended = MeterEvent::JobEnded { status: JobStatus::Failed, verdict: None };
    assert_eq!(counted.iter().filter(|event| **event == ended).count(), 1, "{counted:?}");
    assert!(!result.contains("/srv/") && !result.contains("os error"), "{result}");
}

#[tokio::test]
async fn fault_a5_a_token_that_is_revoked_in_the_middle_of_a_job_is_replaced_once() {
    let refused = || patchwright_core::git::GitError::Unauthorized { url: "fake".into() };
    let fixture = fixture(GOOD);
    fixture.start().await;
    fixture.git.fail_next_push(refused());
    let job = fixture.work().await.unwrap();
    assert_eq!((job.status(), fixture.forge.renewed_credentials()), (JobStatus::Succeeded, 1), "{:?}", job.failure);
    fixture.engine.start(more("and once more")).await.unwrap();
    for answer in GOOD {
        fixture.llm.then(answer);
    }
    fixture.llm.then(ALSO);
    fixture.git.fail_next_push(refused());
    fixture.git.fail_next_push(refused());
    let job = fixture.work().await.unwrap();
    assert_eq!(
        (job.status(), fixture.forge.renewed_credentials()),
        (JobStatus::Failed, 2),
        "a second refusal is final"
    );
}

const GOOD: &[&str] = &[r#"{"candidate_files": ["src/calc.py"]}"#, PLAN, CODE];

#[tokio::test]
async fn fault_h_a_model_that_has_nothing_to_add_to_its_fix_does_not_lose_it() {
    // The first round breaks a test. In the second one it says that nothing has to be changed.
    let fixture = fixture(&[GOOD[0], PLAN, HARMFUL, "no code", "no code", "no code", "no code"]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::Regressions), "{:?}", job.failure);
    assert!(job.stages.iter().all(|stage| stage.status.is_done()), "no stage failed: {:?}", job.stages);
    assert_eq!(job.verified().unwrap().broken_tests, ["test_other"], "what the tests say is the result");
}

#[tokio::test]
async fn a_worker_that_stops_in_the_middle_of_a_fix_does_not_pay_for_its_steps_twice() {
    let fixture = fixture(&[GOOD[0], PLAN, "### read src/calc.py"]);
    fixture.llm.then_fail(LlmError::Unavailable { url: "fake".into(), detail: "busy".into(), after: None });
    fixture.llm.then(CODE);
    let job = fixture.start().await;
    assert_eq!(fixture.work().await.unwrap().status(), JobStatus::Queued, "it is tried again later");
    assert_eq!(fixture.store.conversation(job.id).await.unwrap().unwrap().steps, 1);
    fixture.clock.advance(3600);
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let asked = fixture.llm.asked();
    let purposes: Vec<&str> = asked.iter().map(|request| request.purpose).collect();
    assert_eq!(purposes, ["analyze_bug", "fix_plan", "code_fix", "code_fix", "code_fix"]);
    assert_eq!(asked[4].messages, asked[3].messages, "the second worker asks what the first one had asked");
    let result = asked[4].messages.last().unwrap();
    assert!(result.content.starts_with("<result of=\"read src/calc.py\">"), "{}", result.content);
    for pair in asked[..4].windows(2) {
        assert!(pair[1].messages.starts_with(&pair[0].messages), "the conversation only grows");
    }
    assert_eq!(fixture.store.conversation(job.id).await.unwrap(), None, "it ends with the job");
}

#[tokio::test]
async fn of_two_attempts_the_better_one_counts() {
    let also_harmful = "```python\ndef add(a, b):\n    return a + b  # breaks test_other\n\n\n# longer\n```";
    let fixture = fixture(&[GOOD[0], PLAN, HARMFUL, also_harmful]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::Regressions), "{:?}", job.failure);
    let asked = fixture.llm.asked();
    assert_eq!(asked.len(), 4, "two attempts, and no question about which counts");
    assert_eq!(asked[3].messages.len(), 2, "the second one begins anew");
    let question = &asked[3].messages[1].content;
    assert!(
        question.contains("+    return a + b  # breaks test_other") && question.contains("test_other"),
        "{question}"
    );
    let text = fixture.git.file(&job.branch, "src/calc.py").unwrap();
    assert!(!text.contains("longer"), "both break a test, and the first one is shorter: {text}");
}

#[tokio::test]
async fn a_second_reader_sees_issue_and_change_only_and_what_blocks_goes_back_once() {
    let objects = r#"{"problems": [{"blocking": true, "file": "src/calc.py", "problem": "wrong for @everyone"}, {"file": "", "problem": "a name"}]}"#;
    let fixture = house_with(&[GOOD[0], PLAN, CODE, objects, ALSO, objects], |settings| {
        settings.review_model = Some("reader-1".to_owned());
    });
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let asked = fixture.llm.asked();
    let purposes: Vec<&str> = asked.iter().map(|request| request.purpose).collect();
    assert_eq!(purposes, ["analyze_bug", "fix_plan", "code_fix", "review", "code_fix", "review"]);
    assert_eq!((asked[3].model.as_deref(), asked[3].messages.len()), (Some("reader-1"), 2));
    let seen = &asked[3].messages[1].content;
    assert!(
        seen.contains("add() subtracts") && seen.contains("+    return a + b") && !seen.contains("Use +"),
        "{seen}"
    );
    let back = &asked[4].messages.last().unwrap().content;
    assert!(back.contains("wrong for @everyone") && !back.contains("a name"), "{back}");
    let review = job.fixed().unwrap().review.clone().unwrap();
    assert_eq!((review.model.as_str(), review.problems.len(), review.sent_back), ("reader-1", 2, true));
    fixture.deliver_all().await;
    let (_, body, _) = fixture.forge.pull_requests().remove(0);
    assert!(
        body.contains("### Second reader (reader-1)\n\n- **must be settled first**, `src/calc.py`: wrong for"),
        "{body}"
    );
    assert!(!body.contains("@everyone"), "nobody is called: {body}");
}

#[tokio::test]
async fn a_fix_may_change_several_files_in_one_answer_and_begins_anew_without_those_of_an_earlier_attempt() {
    let plan = r#"{"root_cause": "c", "fix_strategy": "s", "changes": [{"file": "src/calc.py"}], "tests": [{"file": "tests/test_new.py", "what": "it adds"}]}"#;
    let both = format!(
        "### edit src/calc.py\n{HARMFUL}\n### create tests/test_new.py\n```python\nx = 1\n```\n### rename README.md docs/README.md\n"
    );
    let fixture = fixture(&[
        GOOD[0],
        plan,
        &both,
        "### edit src/calc.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n",
    ]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let report = job.fixed().unwrap();
    assert_eq!(report.changes_applied.iter().map(ToString::to_string).collect::<Vec<_>>(), ["src/calc.py"]);
    assert_eq!(fixture.git.file(&job.branch, "tests/test_new.py"), None, "it was of the first attempt");
    assert!(fixture.git.file(&job.branch, "README.md").is_some());
}

#[tokio::test]
async fn a_proven_fix_reads_like_this() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);
    fixture.deliver_all().await;
    let comments = fixture.forge.comments_on(42);
    assert_eq!(comments.len(), 2);
    insta::assert_snapshot!(comments[1], @r"
    **patchwright**: Fixed, and tests show it: 1 test failed before the change and passed after it.

    Pull request #100 is ready for review: https://forge.example/acme/demo/pull/100

    ### Tests

    `python3 -m pytest -q` (isolation: scripted)

    | run | passed | failed | skipped | total |
    | --- | --- | --- | --- | --- |
    | before | 1 | 1 | 0 | 2 |
    | after | 2 | 0 | 0 | 2 |

    Proof: a test that the repository had before.

    now passes: `test_add`

    <sub>job `00000000-0000-0000-0000-000001000002` · 330 tokens in 3 model calls</sub>
    ");
    let (title, body, draft) = fixture.forge.pull_requests().remove(0);
    assert_eq!((title.as_str(), draft), ("Fix for #42: add() subtracts", false));
    insta::assert_snapshot!(body, @r"
    > Fixed, and tests show it: 1 test failed before the change and passed after it.

    Closes #42 (https://forge.example/acme/demo/issues/42)

    | stage | state | time | tokens |
    | --- | --- | --- | --- |
    | locate | ✅ done | 0.0 s | 110 |
    | propose | ✅ done | 0.0 s | 110 |
    | fix | ✅ done | 0.0 s | 110 |
    | verify | ✅ done | 0.0 s |  |

    ### Tests

    `python3 -m pytest -q` (isolation: scripted)

    | run | passed | failed | skipped | total |
    | --- | --- | --- | --- | --- |
    | before | 1 | 1 | 0 | 2 |
    | after | 2 | 0 | 0 | 2 |

    Proof: a test that the repository had before.

    now passes: `test_add`

    ### Cause

    add subtracts

    ### Planned changes

    Use +

    - `src/calc.py`: use +

    <details><summary>The most likely of 2 ranked files</summary>

    - `src/calc.py`: chosen by the model; it is in the tree; start at `it` (line 1)
    - `README.md`: it is in the tree; start at `it` (line 1)

    </details>

    <sub>job `00000000-0000-0000-0000-000001000002` · 330 tokens in 3 model calls</sub>
    ");
    assert_eq!(fixture.git.file(&job.branch, "src/calc.py").unwrap(), "def add(a, b):\n    return a + b\n");
    let ends = fixture.store.ends();
    assert_eq!((ends.len(), ends[0].node.as_str(), ends[0].model.as_str()), (1, "embedded", "scripted"));
    assert_eq!((ends[0].outcome, ends[0].usage.calls), (JobStatus::Succeeded, 3));
    assert_eq!(fixture.store.tasks().iter().map(|task| task.status).collect::<Vec<_>>(), [TaskStatus::Success]);
}

#[tokio::test]
async fn a_chinese_request_is_answered_in_chinese() {
    let fixture = fixture(GOOD);
    fixture.engine.start(more("请改用加号")).await.unwrap();
    let job = fixture.work().await.unwrap();
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    fixture.deliver_all().await;
    insta::assert_snapshot!(fixture.forge.comments_on(42)[1], @r"
    **patchwright**：已修复，且测试证明了这一点：1 个测试在修改前失败、修改后通过。

    合并请求 #100 可以评审：https://forge.example/acme/demo/pull/100

    ### 测试

    `python3 -m pytest -q`（隔离：scripted）

    | 运行 | 通过 | 失败 | 跳过 | 总数 |
    | --- | --- | --- | --- | --- |
    | 修改前 | 1 | 1 | 0 | 2 |
    | 修改后 | 2 | 0 | 0 | 2 |

    证明：仓库原有的测试。

    现在通过：`test_add`

    <sub>任务 `00000000-0000-0000-0000-000001000002` · 3 次模型调用，330 个令牌</sub>
    ");
    let (title, body, _) = fixture.forge.pull_requests().remove(0);
    assert_eq!(title, "Fix for #42: add() subtracts");
    let start: Vec<_> = body.lines().take(9).collect();
    insta::assert_snapshot!(start.join("\n"), @r"
    > 已修复，且测试证明了这一点：1 个测试在修改前失败、修改后通过。

    Closes #42 (https://forge.example/acme/demo/issues/42)

    | 阶段 | 状态 | 用时 | 令牌 |
    | --- | --- | --- | --- |
    | locate | ✅ 完成 | 0.0 s | 110 |
    | propose | ✅ 完成 | 0.0 s | 110 |
    | fix | ✅ 完成 | 0.0 s | 110 |
    ");
}

#[tokio::test]
async fn a_failure_reads_like_this() {
    let fixture = fixture(&["{}", "{}", "nonsense", "more nonsense"]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.status(), JobStatus::Failed);
    fixture.deliver_all().await;
    insta::assert_snapshot!(fixture.forge.comments_on(42)[1], @r"
    **patchwright**: The job failed.

    Error in `propose`: the model's plan cannot be used, also after asking again: it holds no JSON object

    What to do: Retry the job, or set LLM_MODEL to a more capable model.

    <details><summary>The most likely of 2 ranked files</summary>

    - `README.md`: it is in the tree; start at `it` (line 1)
    - `src/calc.py`: it is in the tree; start at `it` (line 1)

    </details>

    To try again, comment `@patchwright retry`.

    <sub>job `00000000-0000-0000-0000-000001000002` · 440 tokens in 4 model calls</sub>
    ");
    assert!(fixture.forge.pull_requests().is_empty() && fixture.git.pushes().is_empty());
}

#[tokio::test]
async fn answers_that_get_lost_make_nothing_twice() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    fixture.work().await.unwrap();
    // Every writing call takes effect and loses its response, once.
    for _ in 0..12 {
        fixture.forge.lose_answers(1);
        fixture.engine.deliver_next().await.unwrap();
        fixture.clock.advance(600);
    }
    fixture.deliver_all().await;
    assert_eq!(fixture.forge.comments_on(42).len(), 2);
    assert_eq!(fixture.forge.pull_requests().len(), 1);
    assert!(!fixture.forge.pull_requests()[0].2);
    assert!(fixture.store.dead().is_empty());
}

#[tokio::test]
async fn a_forge_that_is_away_puts_the_job_off_and_a_worker_goes_on_later() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    fixture.forge.fail_next(ForgeError::Unavailable { platform: GITHUB, detail: "502".into() });
    let is_postponed = fixture.work().await.unwrap();
    assert_eq!(is_postponed.status(), JobStatus::Queued);
    assert!(fixture.work().await.is_none(), "not before its time");
    fixture.clock.advance(31);
    let done = fixture.work().await.unwrap();
    assert_eq!((done.id, done.status(), done.attempts), (job.id, JobStatus::Succeeded, 2));
    assert_eq!(fixture.llm.asked().len(), 3);
}

#[tokio::test]
async fn a_worker_that_died_after_the_fix_is_followed_by_one_that_only_verifies() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    // The first worker dies at the push: the fix is checkpointed, nothing is published.
    let dead = patchwright_core::git::GitError::Unavailable { url: "fake".into(), detail: "reset".into() };
    fixture.git.fail_next_push(dead);
    assert_eq!(fixture.work().await.unwrap().status(), JobStatus::Queued);
    fixture.clock.advance(31);
    let done = fixture.work().await.unwrap();
    assert_eq!(done.verdict, Some(Verdict::FixedProven), "{:?}", done.failure);
    assert_eq!(fixture.llm.asked().len(), 3, "no stage was paid for twice");
    assert_eq!(fixture.git.pushes().len(), 1);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    for n in 0..3 {
        // A worker claims the job and never reports again.
        fixture.take_silently(n, 0).await;
        fixture.clock.advance(1);
    }
    let given_up = fixture.work().await.unwrap();
    assert_eq!((given_up.id, given_up.status()), (job.id, JobStatus::Failed));
    assert!(given_up.failure.unwrap().reason.contains("tried 3 times"));
    fixture.deliver_all().await;
    assert_eq!(fixture.forge.comments_on(42).len(), 2, "the issue is told");
}

#[tokio::test]
async fn a_base_that_moved_has_the_fix_made_again_on_it() {
    let mut answers = GOOD.to_vec();
    answers.push("```python\ndef add(a, b):\n    return a + b\n\n\ndef newer():\n    pass\n```");
    let fixture = fixture(&answers);
    fixture.start().await;
    fixture
        .git
        .fail_next_push(patchwright_core::git::GitError::Unavailable { url: "fake".into(), detail: "reset".into() });
    fixture.work().await.unwrap();
    fixture
        .git
        .move_main(&[("src/calc.py", "def add(a, b):\n    return a - b\n\n\ndef newer():\n    pass\n"), FILES[1]]);
    fixture.clock.advance(31);
    let done = fixture.work().await.unwrap();
    assert_eq!(done.verdict, Some(Verdict::FixedProven), "{:?}", done.failure);
    assert!(fixture.git.file(&done.branch, "src/calc.py").unwrap().contains("def newer"), "what others did stays");
}

#[tokio::test]
async fn a_cancelled_job_is_not_taken_up_and_says_so() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    fixture.engine.cancel(job.id, None).await.unwrap();
    assert!(fixture.work().await.is_none());
    fixture.deliver_all().await;
    assert!(fixture.forge.comments_on(42)[1].contains("The job was cancelled."));
    assert!(
        fixture
            .engine
            .cancel(job.id, None)
            .await
            .unwrap_err()
            .to_string()
            .contains("a job that is cancelled cannot be cancelled")
    );
    fixture.engine.retry(job.id, None).await.unwrap();
    assert_eq!(fixture.work().await.unwrap().status(), JobStatus::Succeeded);
}

#[tokio::test]
async fn a_second_start_while_a_job_waits_is_refused() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let refused = fixture.engine.start(request_of("bob")).await.unwrap_err().to_string();
    assert!(refused.contains("works on this issue already"), "{refused}");
    assert_eq!(fixture.store.jobs().len(), 1);
}

#[tokio::test]
async fn a_pull_request_that_cannot_be_opened_is_told_in_the_result() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    fixture.run().await.unwrap();
    fixture.engine.deliver_next().await.unwrap();
    // Until the pull request is due, the effects are edits.
    loop {
        let next = fixture.store.waiting().remove(0);
        if next.effect == patchwright_domain::Effect::OpenPullRequest {
            break;
        }
        fixture.engine.deliver_next().await.unwrap();
    }
    let refusal = ForgeError::Forbidden { platform: GITHUB, action: "open".into(), detail: "no permission".into() };
    fixture.forge.fail_next(refusal);
    fixture.deliver_all().await;
    assert!(fixture.job(&job).await.published.pull_request.is_none());
    let result = fixture.forge.comments_on(42).pop().unwrap();
    assert!(result.contains("Not everything could be published: the forge refused it"), "{result}");
    assert!(!result.contains("no permission"), "fault A4: the forge's own words are for the operator: {result}");
    let failed = fixture.job(&job).await;
    assert!(failed.published.problem.as_ref().unwrap().contains("no permission"));
    assert_eq!(failed.status(), JobStatus::Failed, "fault C5: what is not published is no success");
    assert!(failed.failure.as_ref().unwrap().reason.contains("no permission"), "{:?}", failed.failure);
    assert!(result.contains("A change was made, and could not be published."), "{result}");
    let issue = fixture.engine.issue(job.issue_id).await.unwrap().unwrap();
    assert_eq!(issue.status, IssueStatus::Terminated);
    assert_eq!(fixture.store.dead().len(), 1);
    // When the permission is there, a retry repeats the publishing and nothing else.
    let asked = fixture.llm.asked().len();
    fixture.engine.retry(job.id, None).await.unwrap();
    let done = fixture.work().await.unwrap();
    assert_eq!((done.status(), fixture.llm.asked().len()), (JobStatus::Succeeded, asked), "{:?}", done.failure);
    fixture.deliver_all().await;
    let (_, body, draft) = fixture.forge.pull_requests().remove(0);
    assert!(body.starts_with("> Fixed, and tests show it") && !draft, "{body}");
    let issue = fixture.engine.issue(job.issue_id).await.unwrap().unwrap();
    assert_eq!(issue.status, IssueStatus::PendingMerge);
}

#[tokio::test]
async fn a_pull_request_that_ends_while_its_job_is_published_ends_both() {
    for (merged, expected) in [(true, IssueStatus::Merged), (false, IssueStatus::Terminated)] {
        let fixture = fixture(GOOD);
        fixture.start().await;
        let job = fixture.run().await.unwrap();
        assert_eq!(job.status(), JobStatus::Publishing);
        while fixture.job(&job).await.published.pull_request.is_none() {
            fixture.engine.deliver_next().await.unwrap().unwrap();
        }
        assert_eq!(fixture.job(&job).await.status(), JobStatus::Publishing, "it is not marked ready yet");
        let (repo, head) = (job.source.repo.clone(), job.branch.to_string());
        let event = InboundEvent::PullRequestClosed { repo, number: 100, head, merged };
        let delivery = Delivery { id: DeliveryId::parse("end").unwrap(), event_type: "pull_request".to_owned(), event };
        fixture.engine.take(&GITHUB, delivery, "{}").await.unwrap();
        assert_eq!(fixture.job(&job).await.status(), JobStatus::Succeeded);
        let issue = fixture.engine.issue(job.issue_id).await.unwrap().unwrap();
        assert_eq!((issue.status, fixture.store.ends().len()), (expected, 1), "merged: {merged}");
        fixture.deliver_all().await;
    }
}

#[tokio::test]
async fn a_forge_that_asks_for_patience_uses_up_no_tries() {
    let fixture = fixture(&[]);
    let job = fixture.start().await;
    // Three tries are all that a job has.
    for _ in 0..10 {
        let after = Some(std::time::Duration::from_secs(90));
        fixture.forge.fail_next(ForgeError::RateLimited { platform: GITHUB, after });
        fixture.work().await.unwrap();
        assert_eq!(fixture.job(&job).await.status(), JobStatus::Queued);
        fixture.clock.advance(300);
    }
    assert_eq!(fixture.job(&job).await.attempts, 0);
    // More often than an effect is tried.
    for _ in 0..30 {
        let after = Some(std::time::Duration::from_secs(90));
        fixture.forge.fail_next(ForgeError::RateLimited { platform: GITHUB, after });
        fixture.engine.deliver_next().await.unwrap();
        fixture.clock.advance(3600);
    }
    fixture.deliver_all().await;
    assert_eq!(fixture.forge.comments_on(42).len(), 1, "it is said at last, and once");
    assert!(fixture.store.dead().is_empty());
}

#[tokio::test]
async fn patience_ends_after_a_day() {
    let fixture = fixture(&[]);
    let job = fixture.start().await;
    fixture.clock.advance(25 * 3600);
    for _ in 0..3 {
        let after = Some(std::time::Duration::from_secs(90));
        fixture.forge.fail_next(ForgeError::RateLimited { platform: GITHUB, after });
        fixture.work().await.unwrap();
        fixture.clock.advance(3600);
    }
    assert_eq!(fixture.job(&job).await.status(), JobStatus::Failed);
}

#[tokio::test]
async fn a_follow_up_goes_on_with_the_branch_and_the_pull_request() {
    let mut answers = GOOD.to_vec();
    answers.extend([GOOD[0], PLAN, ALSO]);
    let fixture = fixture(&answers);
    let first = fixture.start().await;
    let cancel = CancellationToken::new();
    // While the first one is running, the user asks for more.
    fixture.take_silently(0, 60).await;
    let second = fixture.engine.start(more("add sub() too")).await.unwrap();
    assert_eq!((&second.branch, second.follows.as_ref().unwrap().job_id), (&first.branch, first.id));
    assert!(fixture.engine.run_next("other", &cancel).await.unwrap().is_none(), "one job of an issue runs at a time");
    // Instructions by the same user before it starts are added to the same job.
    assert_eq!(fixture.engine.start(more("and mul()")).await.unwrap().id, second.id);
    assert_eq!(
        fixture.engine.start(request_of("alice")).await.unwrap_err().to_string().split(' ').nth(2),
        Some(&*second.id.to_string())
    );
    fixture.clock.advance(100);
    let first = fixture.work().await.unwrap();
    assert_eq!(first.status(), JobStatus::Succeeded);
    let issue = async || fixture.store.issue(first.issue_id).await.unwrap().unwrap().value.status;
    assert_eq!(issue().await, IssueStatus::Processing, "the issue stays with the follow-up");
    fixture.deliver_all().await;

    let second = fixture.work().await.unwrap();
    assert_eq!((second.id, second.status()), (second.id, JobStatus::Succeeded), "{:?}", second.failure);
    fixture.deliver_all().await;
    assert_eq!(issue().await, IssueStatus::PendingMerge);
    assert_eq!(fixture.forge.pull_requests().len(), 1, "there is one pull request");
    let second = fixture.job(&second).await;
    let number = |job: &Job| job.published.pull_request.as_ref().map(|pull_request| pull_request.number);
    assert_eq!(number(&second), number(&fixture.job(&first).await));
    assert_eq!(second.follows.as_ref().unwrap().base, first.published.pushed, "it builds on the first one's commit");
    assert!(fixture.git.file(&second.branch, "src/calc.py").unwrap().contains("def sub"));
    let asked = fixture.llm.asked().last().unwrap().messages[1].content.clone();
    for part in ["add sub() too", "and mul()", "Use + (src/calc.py)"] {
        assert!(asked.contains(part), "{part} is missing in {asked}");
    }
}

#[tokio::test]
async fn fault_c5_an_odd_answer_does_not_lose_the_pull_request() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    fixture.run().await.unwrap();
    // The acknowledgement and the panel come first; from there on the next call opens the pull request.
    let is_opening = |effects: &[Effect]| effects.first() == Some(&Effect::OpenPullRequest);
    let waiting = || fixture.store.waiting().into_iter().map(|record| record.effect).collect::<Vec<_>>();
    while !is_opening(&waiting()) {
        fixture.engine.deliver_next().await.unwrap().unwrap();
    }
    let html = || ForgeError::InvalidResponse {
        platform: GITHUB,
        action: "open a pull request".into(),
        source: "expected value at line 1 column 1".into(),
    };
    fixture.forge.fail_next(html());
    fixture.forge.fail_next(html());
    fixture.deliver_all().await;
    assert_eq!(fixture.forge.pull_requests().len(), 1);
    let published = fixture.job(&job).await.published;
    assert!(published.pull_request.is_some() && published.problem.is_none(), "{published:#?}");
}

#[tokio::test]
async fn the_branch_of_a_pull_request_is_moved_onto_its_base() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let first = fixture.work().await.unwrap();
    fixture.deliver_all().await;
    fixture.git.move_main(&[("README.md", "hello again\n"), ("src/calc.py", "def add(a, b):\n    return a - b\n")]);
    fixture.comment("901", "@patchwright rebase").await;
    let second = fixture.work().await.unwrap();
    assert_eq!(
        (second.status(), second.verdict),
        (JobStatus::Succeeded, Some(Verdict::FixedProven)),
        "{:?}",
        second.failure
    );
    assert_eq!((second.branch.clone(), second.command.clone()), (first.branch.clone(), Some(WorkCommand::Rebase)));
    assert_eq!(fixture.git.file(&first.branch, "README.md").unwrap(), "hello again\n");
    assert!(fixture.git.file(&first.branch, "src/calc.py").unwrap().contains("a + b"));
    assert_eq!(fixture.llm.asked().len(), 3, "the model has no part in it");
    fixture.deliver_all().await;

    fixture.git.move_main(&[("README.md", "hello\n"), ("src/calc.py", "def add(a, b):\n    return b - a\n")]);
    fixture.llm.then("I cannot say.");
    fixture.llm.then("### 1\nno block");
    fixture.llm.then("### 1\n```\n<<<<<<< mine\n```");
    fixture.comment("902", "@patchwright 变基").await;
    let third = fixture.work().await.unwrap();
    let failure = third.failure.unwrap();
    assert!(failure.reason.contains("cannot be rebased: both sides changed src/calc.py"), "{failure:?}");
    fixture.deliver_all().await;
    let issue = fixture.engine.issue(first.issue_id).await.unwrap().unwrap();
    assert_eq!(issue.status, IssueStatus::PendingMerge, "what was there still stands");

    // With a usable answer, both sides are in the commit, and the tests run again.
    fixture.llm.then("Both.\n### 1\n```python\ndef add(a, b):\n    # was turned around\n    return a + b\n```");
    fixture.comment("903", "@patchwright rebase").await;
    let fourth = fixture.work().await.unwrap();
    assert_eq!(fourth.verdict, Some(Verdict::FixedProven), "{:?}", fourth.failure);
    assert!(fixture.git.file(&first.branch, "src/calc.py").unwrap().contains("turned around"));
    let question = fixture.llm.asked().pop().unwrap();
    assert_eq!(question.purpose, "resolve_conflict");
    let text = &question.messages.last().unwrap().content;
    assert!(text.contains("return b - a") && text.contains("return a + b"), "both sides are shown: {text}");
}

#[tokio::test]
async fn a_pull_request_that_conflicts_with_its_base_is_rebased_by_itself_if_that_is_set() {
    for (setting, state, rebased) in [
        (AutoRebase::Off, MergeState::Conflict, false),
        (AutoRebase::Conflict, MergeState::Behind, false),
        (AutoRebase::Conflict, MergeState::Conflict, true),
        (AutoRebase::Behind, MergeState::Behind, true),
        (AutoRebase::Behind, MergeState::Unknown, false),
    ] {
        let fixture = house_with(GOOD, |settings| settings.auto_rebase = setting);
        fixture.start().await;
        let first = fixture.work().await.unwrap();
        fixture.deliver_all().await;
        let number = fixture.job(&first).await.published.pull_request.unwrap().number;
        fixture.git.move_main(&[("README.md", "hello again\n"), ("src/calc.py", "def add(a, b):\n    return a - b\n")]);
        fixture.forge.set_merge_state(number, state);
        fixture.engine.rebase_if_outdated(first.issue_id).await.unwrap();
        let again = fixture.engine.rebase_if_outdated(first.issue_id).await.unwrap();
        assert_eq!(again, None, "one is queued already");
        let latest = fixture.store.latest_job(first.issue_id).await.unwrap().unwrap().value;
        assert_eq!(latest.id != first.id, rebased, "{setting:?} {state:?}");
        if rebased {
            let second = fixture.work().await.unwrap();
            assert_eq!((second.is_rebase(), second.trigger.kind), (true, TriggerKind::BaseMoved));
            assert_eq!(second.verdict, Some(Verdict::FixedProven), "{:?}", second.failure);
            assert_eq!(fixture.git.file(&first.branch, "README.md").unwrap(), "hello again\n");
        }
    }
}

#[tokio::test]
async fn a_rebase_is_started_from_a_page_and_refused_without_a_pull_request() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let first = fixture.work().await.unwrap();
    let rebase = || Start { command: Some(WorkCommand::Rebase), actor: "alice".into(), ..Start::default() };
    fixture.deliver_all().await;
    fixture.git.move_main(&[("README.md", "hello again\n"), ("src/calc.py", "def add(a, b):\n    return a - b\n")]);
    fixture.engine.start_issue(first.issue_id, rebase(), None).await.unwrap();
    let second = fixture.work().await.unwrap();
    assert_eq!((second.is_rebase(), second.verdict), (true, Some(Verdict::FixedProven)), "{:?}", second.failure);
    fixture.deliver_all().await;
    fixture.engine.merge_issue(first.issue_id, None).await.unwrap();
    let refused = fixture.engine.start_issue(first.issue_id, rebase(), None).await.unwrap_err();
    assert!(matches!(refused, ControlError::NoPullRequest), "{refused}");
}

#[tokio::test]
async fn fault_c1_a_follow_up_that_ends_before_it_begins_leaves_the_pull_request_to_review() {
    let fixture = fixture(GOOD);
    fixture.start().await;
    let first = fixture.work().await.unwrap();
    fixture.deliver_all().await;
    let status = async || fixture.store.issue(first.issue_id).await.unwrap().unwrap().value.status;
    assert_eq!(status().await, IssueStatus::PendingMerge);
    let second = fixture.engine.start(more("add sub() too")).await.unwrap();
    assert_eq!(status().await, IssueStatus::Processing);
    fixture.engine.cancel(second.id, None).await.unwrap();
    assert_eq!(status().await, IssueStatus::PendingMerge, "the first one's pull request stands");
    fixture.deliver_all().await;
}

#[tokio::test]
async fn a_follow_up_of_a_failure_makes_the_branch_anew() {
    let wrong = CODE.replace("a + b", "a * b");
    let answers = [GOOD[0], PLAN, &wrong, &wrong, &wrong, GOOD[0], PLAN, CODE];
    let fixture = fixture(&answers);
    fixture.start().await;
    let failed = fixture.work().await.unwrap();
    assert_eq!(failed.verdict, Some(Verdict::NoRegressions), "{:?}", failed.failure);
    fixture.deliver_all().await;
    fixture.engine.cancel(failed.id, None).await.unwrap_err();
    let again = fixture.engine.start(more("it adds")).await.unwrap();
    assert_eq!(again.branch, failed.branch);
    let done = fixture.work().await.unwrap();
    assert_eq!(done.verdict, Some(Verdict::FixedProven), "{:?}", done.failure);
    fixture.deliver_all().await;
    assert_eq!(fixture.forge.pull_requests().len(), 1);
}

#[tokio::test]
async fn what_people_pushed_to_the_branch_stays() {
    let mut answers = GOOD.to_vec();
    answers.extend([GOOD[0], PLAN, ALSO]);
    let fixture = fixture(&answers);
    fixture.start().await;
    let first = fixture.work().await.unwrap();
    fixture.deliver_all().await;
    let fixed = "def add(a, b):\n    return a + b\n";
    fixture.git.push_by_others(&first.branch, &[("src/calc.py", fixed), ("CHANGES.md", "by hand\n"), FILES[1]]);
    fixture.engine.start(more("add sub() too")).await.unwrap();
    let second = fixture.work().await.unwrap();
    assert_eq!(second.status(), JobStatus::Succeeded, "{:?}", second.failure);
    assert_eq!(fixture.git.file(&first.branch, "CHANGES.md").unwrap(), "by hand\n");
    assert!(fixture.git.file(&first.branch, "src/calc.py").unwrap().contains("def sub"));
}

#[tokio::test]
async fn a_follow_up_whose_worker_died_after_the_push_is_taken_up_again() {
    let mut answers = GOOD.to_vec();
    answers.extend([GOOD[0], PLAN, ALSO]);
    let fixture = fixture(&answers);
    fixture.start().await;
    let first = fixture.work().await.unwrap();
    fixture.deliver_all().await;
    let second = fixture.engine.start(more("add sub() too")).await.unwrap();
    fixture.die_in_tests.store(true, Ordering::Relaxed);
    let engine = Arc::clone(&fixture.engine);
    let died = tokio::spawn(async move { engine.run_next("doomed", &CancellationToken::new()).await.unwrap() }).await;
    assert!(died.unwrap_err().is_panic());
    let pushed = fixture.job(&second).await.published.pushed;
    assert_ne!(pushed, first.published.pushed);
    fixture.clock.advance(100);
    let done = fixture.work().await.unwrap();
    assert_eq!((done.id, done.verdict), (second.id, Some(Verdict::NoRegressions)), "{:?}", done.failure);
    assert_eq!(done.published.pushed, pushed, "the same commit on the same base");
    assert_eq!(fixture.llm.asked().len(), 6, "nothing was asked twice");
    let tasks = fixture.store.tasks().into_iter().filter(|task| task.job_id == second.id);
    let ends: Vec<_> = tasks.map(|task| (task.attempt, task.status, task.error_message.is_some())).collect();
    assert_eq!(ends, [(1, TaskStatus::Failed, true), (2, TaskStatus::Success, false)], "the lost one has ended");
}

#[tokio::test]
async fn a_start_that_is_cancelled_before_a_worker_had_it_leaves_no_task_open() {
    let fixture = fixture(GOOD);
    let job = fixture.start().await;
    fixture.engine.cancel(job.id, None).await.unwrap();
    let again = Start { actor: "alice".into(), ..Start::default() };
    let task = fixture.engine.start_issue(job.issue_id, again, None).await.unwrap();
    assert_eq!(fixture.store.open_tasks(task.job_id).await.unwrap(), std::slice::from_ref(&task));
    fixture.engine.cancel_issue(job.issue_id, None).await.unwrap();
    assert_eq!(fixture.store.open_tasks(task.job_id).await.unwrap(), []);
    let ended = fixture.store.tasks().into_iter().find(|ended| ended.id == task.id).unwrap();
    assert_eq!((ended.status, ended.error_message.as_deref()), (TaskStatus::Failed, Some("the job was cancelled")));
}

#[tokio::test]
async fn a_plan_that_people_want_to_read_is_carried_out_when_they_have() {
    let fixture = house_with(GOOD, |settings| settings.review_plans = true);
    let job = fixture.start().await;
    let paused = fixture.work().await.unwrap();
    assert!(paused.awaits_approval() && paused.status() == JobStatus::Queued && paused.fixed().is_none());
    assert!(fixture.git.pushes().is_empty(), "nothing has left");
    fixture.deliver_all().await;
    let printed = fixture.forge.comments_on(42).join("\n");
    assert!(printed.contains("has a plan, which waits for approval") && printed.contains("Use +"), "{printed}");
    assert!(printed.contains(&format!("patchwright jobs approve {}", job.id)), "{printed}");
    // Nobody retries it, however long it takes.
    fixture.clock.advance(40 * 24 * 3600);
    assert!(fixture.work().await.is_none());
    let issue = fixture.store.issue(job.issue_id).await.unwrap().unwrap().value;
    assert_eq!(issue.status, IssueStatus::Processing);
    let approved = fixture.engine.approve_plan(job.id, "olga", None).await.unwrap();
    assert!(!approved.awaits_approval());
    assert!(fixture.engine.approve_plan(job.id, "olga", None).await.is_err(), "once is enough");
    let done = fixture.work().await.unwrap();
    assert_eq!((done.status(), done.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)));
    assert_eq!(fixture.llm.asked().len(), 3, "the plan was not made again");
}

#[tokio::test]
async fn a_plan_that_people_do_not_want_is_cancelled_and_nothing_is_left() {
    let fixture = house_with(GOOD, |settings| settings.review_plans = true);
    let job = fixture.start().await;
    fixture.work().await.unwrap();
    fixture.engine.cancel(job.id, None).await.unwrap();
    assert!(fixture.engine.approve_plan(job.id, "olga", None).await.is_err());
    fixture.deliver_all().await;
    assert!(fixture.git.pushes().is_empty() && fixture.job(&job).await.status() == JobStatus::Cancelled);
}

#[tokio::test]
async fn what_the_model_was_asked_and_said_is_kept_without_secrets() {
    let answer = r#"{"candidate_files": ["src/calc.py"], "note": "fake-git-token"}"#;
    let fixture = fixture(&[answer, PLAN, CODE]);
    let job = fixture.start().await;
    fixture.work().await.unwrap();
    let calls = fixture.store.calls(job.id).await.unwrap();
    let purposes: Vec<&str> = calls.iter().map(|kept| kept.call.purpose.as_str()).collect();
    assert_eq!(purposes, ["analyze_bug", "fix_plan", "code_fix"]);
    assert_eq!(calls.iter().map(|kept| kept.call.usage.calls).sum::<u32>(), 3);
    let (_, printed) = fixture.store.call(calls[0].task, 0).await.unwrap().unwrap();
    assert!(printed.question.iter().any(|message| message.content.contains("add() subtracts")));
    assert!(!printed.answer.unwrap().contains("fake-git-token"));
    let forgetful = house_with(GOOD, |settings| settings.keep_model_calls = false);
    let job = forgetful.start().await;
    forgetful.work().await.unwrap();
    assert!(forgetful.store.calls(job.id).await.unwrap().is_empty());
}

/// The requests about the candidates, in order.
fn analyses(fixture: &EngineFixture) -> Vec<String> {
    let asked = fixture.llm.asked().into_iter().filter(|request| request.purpose == "analyze_bug");
    asked.map(|request| request.messages.last().unwrap().content.clone()).collect()
}

fn located(job: &Job) -> (AnalysisMethod, Vec<String>) {
    let report = job.located().unwrap();
    (report.stage_data.analysis_method, report.candidate_files.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_model_that_asks_for_more_is_shown_it_once() {
    let request = r#"{"candidate_files": [], "more": {"words": "subtraction", "folder": "./src/"}}"#;
    let fixture =
        fixture(&[request, r#"{"candidate_files": ["src/calc.py"], "more": {"words": "again"}}"#, PLAN, CODE]);
    fixture.start().await;
    let job = fixture.work().await.unwrap();
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let asked = analyses(&fixture);
    assert_eq!(asked.len(), 2, "a second wish is not heard");
    assert!(asked[0].contains("\"more\"") && !asked[1].contains("\"more\""));
    assert!(asked[0].find("README.md") < asked[0].find("src/calc.py"));
    assert!(asked[1].find("src/calc.py") < asked[1].find("README.md"), "what the folder holds goes first");
    assert!(asked[0].contains("- src/calc.py: it\n"), "what files define is shown");
    assert_eq!(located(&job), (AnalysisMethod::Hybrid, vec!["src/calc.py".to_owned(), "README.md".to_owned()]));
}

#[tokio::test]
async fn where_the_model_says_nothing_of_use_the_ranking_stands() {
    let invalid = ["I would look at the parser.", "Still no JSON."];
    let nothing = [r#"{"candidate_files": []}"#, r#"{"candidate_files": [], "more": {"words": " "}}"#];
    let ghosts = [r#"{"candidate_files": ["ghost.py", "/etc/passwd"], "symbols": ["ghost.py: f"]}"#];
    // A request whose answer is invalid leaves no trace of what was found for it.
    let request = r#"{"more": {"words": "subtraction", "folder": "src"}}"#;
    let requests = [request, invalid[0], invalid[1]];
    for answers in [&invalid[..], &nothing, &ghosts, &requests] {
        let fixture = fixture(&[answers, &[PLAN, CODE]].concat());
        fixture.start().await;
        let job = fixture.work().await.unwrap();
        assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
        let ranking = vec!["README.md".to_owned(), "src/calc.py".to_owned()];
        assert_eq!(located(&job), (AnalysisMethod::Heuristic, ranking), "{answers:?}");
    }
}
