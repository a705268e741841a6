//! Failures: each results in a clear message, a failed job with a comment, and no incomplete pull request.

use patchwright_domain::{Job, JobStatus};
use patchwright_testkit::server::Script;
use serde_json::json;

use crate::harness::{REPO, TestServer, analysis, good_answers, plan};

/// The job has failed with the reason, and a comment on the issue has it with the job's id and the remedy.
fn expect_failure(test_server: &TestServer, job: &Job, reason: &str) {
    assert_eq!(job.status(), JobStatus::Failed, "{job:#?}");
    let failure = job.failure.as_ref().unwrap();
    assert!(failure.reason.contains(reason), "{}", failure.reason);
    let comments = test_server.github.comments_on(42);
    assert_eq!(comments.len(), 2, "an acknowledgement and a result: {comments:#?}");
    let result = &comments[1];
    assert!(result.contains(&job.id.to_string()), "{result}");
    assert!(result.contains("What to do:"), "{result}");
    assert!(test_server.github.pulls().is_empty(), "no half-made pull request");
}

async fn fails(script: Vec<Script>, settings: &[(&str, &str)], reason: &str) {
    let mut test_server = TestServer::start_with(script, settings).await;
    let job = test_server.fix().await;
    expect_failure(&test_server, &job, reason);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there() {
    let mut test_server = TestServer::start(vec![]).await;
    std::fs::rename(test_server.git.path(REPO), test_server.git.path("acme/moved")).unwrap();
    let job = test_server.fix().await;
    expect_failure(&test_server, &job, "the repository acme/demo was not found on github");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository() {
    let mut test_server = TestServer::start(vec![]).await;
    std::fs::remove_dir_all(test_server.git.path(REPO)).unwrap();
    test_server.git.make_empty(REPO);
    let job = test_server.fix().await;
    expect_failure(&test_server, &job, "is empty; push a first commit");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_tests_is_no_failure_but_stays_a_draft() {
    let mut test_server = TestServer::start(good_answers()).await;
    std::fs::remove_dir_all(test_server.git.path(REPO)).unwrap();
    test_server.git.make(REPO, &[("calc.py", "def add(a, b):\n    return a - b\n")]);
    let job = test_server.fix().await;
    assert_eq!(job.verdict, Some(patchwright_domain::job::report::Verdict::NoTests), "{:?}", job.failure);
    assert!(test_server.github.pulls()[0].3);
    assert!(
        test_server.github.comments_on(42)[1].contains("no test suite was found"),
        "{:?}",
        test_server.github.comments_on(42)
    );
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_utf8() {
    let mut script = good_answers();
    script.extend((0..3).filter_map(|_| good_answers().pop()));
    let mut test_server = TestServer::start(script).await;
    let work = tempfile::tempdir().unwrap();
    let at = work.path().to_str().unwrap().to_owned();
    let bare = test_server.git.path(REPO).display().to_string();
    std::fs::write(work.path().join("calc.py"), b"# caf\xe9\ndef add(a, b):\n    return a - b\n").unwrap();
    test_server.git.git(REPO, &["--work-tree", &at, "--git-dir", &bare, "-c", "core.bare=false", "add", "calc.py"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@t"];
    let commit = ["--work-tree", at.as_str(), "--git-dir", bare.as_str(), "-c", "core.bare=false"];
    test_server.git.git(REPO, &[&commit[..], &who, &["commit", "-q", "-m", "latin-1"]].concat());
    let job = test_server.fix().await;
    expect_failure(&test_server, &job, "calc.py cannot be changed: it is not text in UTF-8");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_answers_nonsense() {
    let script =
        ["I am a teapot.", "{\"broken\":", "No.", "Still no JSON."].map(|text| Script::Answer(text.into())).to_vec();
    fails(script, &[], "the model's plan cannot be used, also after asking again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_edits_do_not_apply() {
    let mut script = vec![Script::Answer(analysis()), Script::Answer(plan(&["calc.py"]))];
    script.extend((0..4).map(|_| Script::Answer("no code at all".into())));
    fails(script, &[], "the model's edit cannot be applied, also after 3 corrections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_wants_to_change_the_ci() {
    let evil = plan(&[".github/workflows/ci.yml"]);
    let script = vec![Script::Answer(analysis()), Script::Answer(evil.clone()), Script::Answer(evil)];
    fails(script, &[], "it changes .github/workflows/ci.yml, which jobs may not change").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_times_out() {
    let silence = Script::Silence(std::time::Duration::from_secs(20));
    let settings = [("LLM_TIMEOUT", "1"), ("LLM_TRIES", "1")];
    fails(vec![silence], &settings, "cannot answer now (no answer in time)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_refuses_the_key() {
    let refusal =
        json!({"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}});
    fails(vec![Script::Error(401, refusal)], &[], "check the API key (LLM_API_KEY)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_account_without_quota_is_not_asked_again() {
    let refusal = json!({"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}});
    fails(vec![Script::Error(429, refusal)], &[], "no quota left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_works_and_a_cut_one_is_never_used() {
    let mut test_server = TestServer::start_with(good_answers(), &[("LLM_STREAM", "true")]).await;
    let job = test_server.fix().await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    assert_eq!(job.usage().tokens(), 450);
    test_server.finish().await;
    let settings = [("LLM_STREAM", "true"), ("LLM_TRIES", "1")];
    fails(vec![Script::CutOff(analysis())], &settings, "the stream was cut off").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_model_server_is_asked_again() {
    let busy = Script::Error(503, json!({"error": "overloaded"}));
    let mut script = vec![busy];
    script.extend(good_answers());
    let mut test_server = TestServer::start(script).await;
    let job = test_server.fix().await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up() {
    fails(good_answers(), &[("BUDGET_CALLS", "2")], "the job's model budget is used up: 2 of 2 model calls").await;
    let capped = "the repository's model budget for today is used up: 1 of 1 model calls";
    fails(good_answers(), &[("BUDGET_REPOSITORY_DAY_CALLS", "1")], capped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused() {
    let mut test_server = TestServer::start(good_answers()).await;
    test_server.git.refuse_pushes(REPO);
    let job = test_server.fix().await;
    expect_failure(&test_server, &job, "the remote refused the push");
    assert!(job.failure.unwrap().reason.contains("pre-receive hook declined"));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_can_be_retried_from_the_stage_that_failed() {
    let mut script = vec![Script::Answer(analysis())];
    script.extend(["nonsense", "more nonsense"].map(|text| Script::Answer(text.into())));
    script.extend(good_answers().into_iter().skip(1));
    let mut test_server = TestServer::start(script).await;
    let job = test_server.fix().await;
    assert_eq!(job.status(), JobStatus::Failed);
    let answer = test_server.post_comment("@patchwright retry").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = test_server.expect_end(job.id).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    assert_eq!(test_server.github.comments_on(42).len(), 3, "each end has its own result comment");
    test_server.finish().await;
}
