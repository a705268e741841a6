//! The forge's own CI as a second witness.

use std::time::Duration;

use patchwright_domain::job::TriggerKind;
use patchwright_domain::job::ci::CiState;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{CommitSha, Job, JobStatus};
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method};
use crate::harness::{REPO, TestServer, follow_up_answers, good_answers};

/// The next reading of the checks, and the one after it, which finds them unchanged.
const TWO_READINGS: Duration = Duration::from_secs(3 * 60);

fn pushed(job: &Job) -> CommitSha {
    job.published.pushed.clone().unwrap()
}

async fn read_twice(test_server: &TestServer) {
    test_server.advance(TWO_READINGS).await;
    test_server.advance(TWO_READINGS).await;
}

async fn job_again(test_server: &TestServer, job: &Job) -> Job {
    test_server.app().engine.job(job.id).await.unwrap().unwrap()
}

/// The comment of the repository's administrator on how it is tested.
async fn set_rounds(test_server: &TestServer, rounds: u32) {
    let operator = Caller::default();
    let new = json!({"platform": "github", "name": REPO});
    let added = test_server.ask(&operator, Method::Post, "/api/v1/repositories", Some(&new)).await;
    let id = added.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/repositories/{id}/settings");
    let answer = test_server.ask(&operator, Method::Put, &path, Some(&json!({"ci_rounds": rounds}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json::<Value>().unwrap()["settings"]["ci_rounds"], rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ci_says_is_shown_and_makes_a_pull_request_ready_that_waits_for_it() {
    let mut test_server = TestServer::start_with(good_answers(), &[("READY_WHEN", "proven_and_ci")]).await;
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)));
    let panel = || test_server.github.panels(700).pop().unwrap();
    assert!(test_server.github.pulls()[0].3 && panel().contains("until the checks"), "{}", panel());

    let commit = pushed(&job);
    test_server.github.set_ci(commit.as_str(), &[("test", "in_progress", None)], &[("ci/old", "failure")]);
    test_server.github.set_ci("main", &[], &[("ci/old", "failure")]);
    test_server.github.set_ci(job.fixed().unwrap().base.as_str(), &[], &[("ci/old", "failure")]);
    test_server.advance(Duration::from_secs(30)).await;
    assert!(panel().contains("are running") && panel().contains("| `test` |  | ⏳ running |"), "{}", panel());
    assert!(test_server.github.pulls()[0].3, "not before they have passed");

    test_server.github.set_ci(commit.as_str(), &[("test", "completed", Some("success"))], &[("ci/old", "failure")]);
    read_twice(&test_server).await;
    assert!(!test_server.github.pulls()[0].3, "ready: what fails failed before, too");
    assert!(panel().contains("| `ci/old` | ❌ failed | ❌ failed |"), "{}", panel());
    let report = job_again(&test_server, &job).await.published.ci.unwrap();
    assert_eq!((report.state(), report.is_final), (CiState::Passed, true));

    // Nobody reads it any more.
    let asked = test_server.github.requests().len();
    test_server.advance(Duration::from_secs(3600)).await;
    assert_eq!(test_server.github.requests().len(), asked);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_is_said_and_nothing_else_unless_an_administrator_asked_for_more() {
    let mut test_server = TestServer::start(good_answers()).await;
    let job = test_server.fix().await;
    assert!(!test_server.github.pulls()[0].3, "proven by a test is enough by default");
    let failed = [("test", "completed", Some("failure"))];
    test_server.github.set_ci(pushed(&job).as_str(), &failed, &[]);
    read_twice(&test_server).await;
    let panel = test_server.github.panels(700).pop().unwrap();
    assert!(
        panel.contains("Checks of the repository's CI fail") && panel.contains("Fixed, and tests show it"),
        "{panel}"
    );
    assert_eq!(test_server.newest_job().await, Some(job.id));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_check_goes_back_to_fix_as_often_as_an_administrator_allows() {
    let again = "def add(a, b):\n    return b + a\n\n\ndef double(a):\n    return a * 2\n";
    let script = good_answers().into_iter().chain(follow_up_answers(again));
    let mut test_server = TestServer::start(script.collect()).await;
    set_rounds(&test_server, 1).await;
    let first = test_server.fix().await;
    let failed = [("test", "completed", Some("failure"))];
    test_server.github.set_ci(pushed(&first).as_str(), &failed, &[]);
    read_twice(&test_server).await;

    let second = test_server.newest_job().await.unwrap();
    assert_ne!(second, first.id);
    let second = test_server.expect_end(second).await;
    assert_eq!((second.trigger.kind, second.status()), (TriggerKind::Ci, JobStatus::Succeeded), "{:?}", second.failure);
    assert_eq!(test_server.github.pulls().len(), 1, "the same pull request");
    let asked = test_server.llm.asked();
    let messages = asked.last().unwrap()["messages"].as_array().unwrap().clone();
    let mut questions = messages.iter().filter_map(|message| message["content"].as_str());
    let question = questions.find(|text| text.contains("Plan the smallest change")).unwrap();
    let output = question.split("<tests>").nth(1).and_then(|rest| rest.split("</tests>").next()).unwrap();
    assert!(output.contains("src/lib.rs:7: expected 5, got 6"), "{question}");

    // The checks fail again, and the administrator allowed one round.
    test_server.github.set_ci(pushed(&second).as_str(), &failed, &[]);
    read_twice(&test_server).await;
    assert_eq!(test_server.newest_job().await, Some(second.id));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_not_read_checks_publishes_without_them() {
    let mut test_server = TestServer::start(good_answers()).await;
    let job = test_server.post_comment("@patchwright fix").await;
    let job = test_server.expect_end(crate::harness::accepted(&job)).await;
    test_server.github.refuse_ci();
    read_twice(&test_server).await;
    let job = job_again(&test_server, &job).await;
    assert_eq!((job.status(), job.published.ci), (JobStatus::Succeeded, None));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_of_a_commit_that_a_follow_up_has_replaced_say_nothing_about_the_pull_request() {
    let again = "def add(a, b):\n    return b + a\n\n\ndef double(a):\n    return a * 2\n";
    let script = good_answers().into_iter().chain(follow_up_answers(again));
    let mut test_server = TestServer::start_with(script.collect(), &[("READY_WHEN", "proven_and_ci")]).await;
    let first = test_server.fix().await;
    let second = test_server.post_comment("@patchwright fix: b first").await;
    let second = test_server.expect_end(crate::harness::accepted(&second)).await;
    assert!(pushed(&second) != pushed(&first), "{:?}", second.failure);

    // The push cancelled the checks of the first commit, or they passed just then.
    for conclusion in ["cancelled", "success"] {
        test_server.github.set_ci(pushed(&first).as_str(), &[("test", "completed", Some(conclusion))], &[]);
        read_twice(&test_server).await;
        let panel = test_server.github.panels(700).pop().unwrap();
        assert!(!panel.contains("`test`") && panel.contains(&second.id.to_string()), "{panel}");
        assert!(test_server.github.pulls()[0].3, "a draft");
        assert_eq!(job_again(&test_server, &first).await.published.ci, None);
    }
    test_server.finish().await;
}
