//! Intake of many deliveries on both databases: each is processed once, limits hold, and none is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use patchwright_domain::Job;
use patchwright_testkit::postgres;
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method};
use crate::harness::{REPO, TestServer, accepted, good_answers};

/// The databases to run a scenario on.
async fn databases(name: &str) -> (Vec<Vec<(&'static str, String)>>, Option<Arc<postgres::Cluster>>) {
    let cluster = postgres::cluster().await;
    let mut all = vec![vec![]];
    if let Some(cluster) = &cluster {
        all.push(vec![("DATABASE_URL", cluster.database(&format!("{name}_{}", std::process::id())))]);
    }
    (all, cluster)
}

async fn start(settings: &[(&'static str, String)], more: &[(&'static str, &str)]) -> TestServer {
    let own: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TestServer::start_with(good_answers(), &[own.as_slice(), more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_copies_of_one_delivery_are_one_job() {
    let (databases, _cluster) = databases("copies").await;
    for settings in &databases {
        let test_server = Arc::new(start(settings, &[]).await);
        let payload = TestServer::comment("@patchwright fix", "alice", 1).to_string();
        let copies: Vec<_> = (0..100)
            .map(|_| {
                let (test_server, payload) = (Arc::clone(&test_server), payload.clone());
                tokio::spawn(async move { test_server.deliver("issue_comment", &payload, "same").await })
            })
            .collect();
        let (mut jobs, mut fresh) = (BTreeSet::new(), 0);
        for copy in copies {
            let answer = copy.await.unwrap();
            assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.status, answer.text());
            fresh += usize::from(answer.status == 202);
            jobs.insert(accepted(&answer));
        }
        assert_eq!((jobs.len(), fresh), (1, 1), "all get the one job's id, one of them as new");
        let test_server = Arc::into_inner(test_server).unwrap();
        test_server.expect_end(jobs.pop_first().unwrap()).await;
        assert_eq!((test_server.github.pulls().len(), test_server.github.comments_on(42).len()), (1, 2));
        test_server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_with_a_nul_is_the_same_on_both_databases() {
    let (databases, _cluster) = databases("nul").await;
    for settings in &databases {
        let mut test_server = start(settings, &[("WORKERS", "0")]).await;
        let mut payload = TestServer::comment("@patchwright fix the \0 byte", "alice", 1);
        payload["issue"]["title"] = "a\0b".into();
        payload["issue"]["body"] = "x\0y".into();
        let answer = test_server.deliver("issue_comment", &payload.to_string(), "nul").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", accepted(&answer))).await.json().unwrap();
        assert_eq!((&shown["status"], &shown["issue_title"]), (&json!("requested"), &json!("a\u{fffd}b")), "{shown}");
        test_server.admit().await;
        let job = test_server.app().engine.job(accepted(&answer)).await.unwrap().unwrap();
        assert_eq!(job.title, "a\u{fffd}b");
        assert_eq!(job.trigger.instructions.as_deref(), Some("the \u{fffd} byte"));
        let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", job.id)).await.json().unwrap();
        assert_eq!(shown["queue_position"], 1);
        assert_eq!(shown["webhook_payload"]["issue"]["title"], "a\0b", "the payload is kept as it came");
        test_server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_that_mention_each_other_are_told_once_and_then_not_heard() {
    let settings = [("TRIGGERS_PER_ISSUE", "3"), ("ALLOWED_USERS", "other[bot]")];
    let test_server = TestServer::start_with(vec![], &settings).await;
    let send = async |command: &str, n: u64| {
        let mut payload = TestServer::comment(&format!("@patchwright {command}"), "other[bot]", 100 + n);
        payload["comment"]["user"]["type"] = "Bot".into();
        test_server.deliver("issue_comment", &payload.to_string(), &format!("loop-{n}")).await.json::<Value>().unwrap()
    };
    let mut last = Value::Null;
    for n in 0..20 {
        last = send("what?", n).await;
    }
    assert_eq!(last["reason"], "rate_limited", "{last}");
    for n in 20..40 {
        send("cancel", n).await;
    }
    test_server.run_until_idle().await;
    let comments = test_server.github.comments_on(42);
    assert_eq!(comments.len(), 5, "the help, three answers and one notice: {comments:#?}");
    assert!(comments[4].starts_with("The limit of 3 requests per hour on one issue is reached"), "{}", comments[4]);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_with_another_body_keeps_the_first_job() {
    let mut test_server = TestServer::start_with(vec![], &[("WORKERS", "0")]).await;
    let payload = |comment| TestServer::comment("@patchwright fix", "alice", comment).to_string();
    let first = accepted(&test_server.deliver("issue_comment", &payload(1), "same").await);
    let second = test_server.deliver("issue_comment", &payload(2), "same").await;
    assert_eq!((second.status, accepted(&second)), (200, first));
    test_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_label_told_by_two_hooks_is_one_wish_and_the_label_set_again_another() {
    let mut test_server = TestServer::start_with(vec![], &[("WORKERS", "0")]).await;
    let labeled = |at: &str| {
        let mut payload = TestServer::comment("", "alice", 1);
        payload["action"] = "labeled".into();
        payload["label"] = json!({"name": "patchwright"});
        payload["issue"]["updated_at"] = at.into();
        payload.to_string()
    };
    let answer = test_server.deliver("issues", &labeled("2026-11-22T10:00:00Z"), "repository-hook").await;
    let job = accepted(&answer);
    test_server.admit().await;
    test_server.app().engine.cancel(job, None).await.unwrap();
    let twin = test_server.deliver("issues", &labeled("2026-11-22T10:00:00Z"), "organisation-hook").await;
    let reply: Value = twin.json().unwrap();
    assert_eq!(
        (&reply["status"], &reply["duplicate"], &reply["job_id"]),
        (&json!("accepted"), &json!(true), &json!(job))
    );
    let again = test_server.deliver("issues", &labeled("2026-11-22T11:00:00Z"), "later").await;
    assert_eq!((again.status, accepted(&again) == job), (202, false));
    test_server.stop().await;
}

/// Waits until polling has found a comment, and for the end of its job.
async fn expect_end_of_polled_job(test_server: &TestServer) -> Job {
    test_server
        .wait_until("the comment is found", async || {
            test_server.admit().await;
            test_server.newest_job().await.is_some()
        })
        .await;
    let job = test_server.expect_a_job().await;
    test_server.expect_end(job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mentions_are_found_where_no_delivery_can_come() {
    let git_settings = [("POLL_REPOSITORIES", REPO), ("POLL_INTERVAL", "1")];
    let test_server = TestServer::start_with(good_answers(), &git_settings).await;
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    test_server.github.list_comment(77, 42, "alice", "@patchwright fix", &now);
    let job = expect_end_of_polled_job(&test_server).await;
    assert_eq!((job.trigger.comment_id.as_deref(), job.trigger.actor.as_str()), (Some("77"), "alice"));
    // The same event from the webhook changes nothing.
    let payload = TestServer::comment("@patchwright fix", "alice", 77).to_string();
    let reply: Value = test_server.deliver("issue_comment", &payload, "late").await.json().unwrap();
    assert_eq!((&reply["duplicate"], &reply["job_id"]), (&json!(true), &json!(job.id)));
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repositories_that_were_added_are_polled_once_that_is_switched_on() {
    let test_server = TestServer::start_with(good_answers(), &[("POLL_INTERVAL", "1")]).await;
    let operator = Caller::default();
    let repository = json!({"platform": "github", "name": REPO});
    let added = test_server.ask(&operator, Method::Post, "/api/v1/repositories", Some(&repository)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let at = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    test_server.github.list_comment(76, 42, "alice", "@patchwright fix", &at(-3600));
    test_server.github.list_comment(77, 42, "alice", "@patchwright fix", &at(2));
    let on = json!({"value": "true"});
    let changed = test_server.ask(&operator, Method::Put, "/api/v1/settings/POLL_REGISTERED", Some(&on)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let job = expect_end_of_polled_job(&test_server).await;
    assert_eq!(job.trigger.comment_id.as_deref(), Some("77"), "what was written before it was added is left alone");
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}
