//! The webhook endpoint: accepted, rejected and repeated deliveries.

use patchwright_http::Request;
use patchwright_testkit::server::Script;
use serde_json::Value;

use crate::harness::{TestServer, accepted, good_answers};

fn body(answer: &patchwright_http::Response) -> Value {
    answer.json().unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_counts_once() {
    let mut test_server = TestServer::start(good_answers()).await;
    let payload = TestServer::comment("@patchwright fix", "alice", 1).to_string();
    let first = test_server.deliver("issue_comment", &payload, "same").await;
    assert_eq!(first.status, 202);
    let id = accepted(&first);
    let again = test_server.deliver("issue_comment", &payload, "same").await;
    assert_eq!((again.status, &body(&again)["duplicate"]), (200, &true.into()));
    assert_eq!(accepted(&again), id);
    test_server.expect_end(id).await;
    test_server.restart().await;
    let later = test_server.deliver("issue_comment", &payload, "same").await;
    assert_eq!(accepted(&later), id);
    // The same comment through another hook.
    let twin = test_server.deliver("issue_comment", &payload, "another").await;
    assert_eq!(
        (twin.status, &body(&twin)["status"], &body(&twin)["duplicate"]),
        (200, &"accepted".into(), &true.into())
    );
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_with_our_secret_changes_nothing() {
    let test_server = TestServer::start(vec![]).await;
    let payload = TestServer::comment("@patchwright fix", "alice", 1).to_string();
    let unsigned = test_server.delivery("issue_comment", &payload, "d");
    for signature in
        ["", "sha256=00", "sha1=x", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]
    {
        let answer = test_server.send(unsigned.clone().header("x-hub-signature-256", signature)).await;
        assert_eq!(answer.status, 401, "{signature:?}");
    }
    assert_eq!(test_server.send(unsigned).await.status, 401);
    // Not JSON and an invalid signature: the signature is checked first.
    let invalid = test_server.delivery("issue_comment", "nonsense", "d").header("x-hub-signature-256", "sha256=00");
    assert_eq!(test_server.send(invalid).await.status, 401);
    let jobs: Value = body(&test_server.get("/api/v1/jobs").await);
    assert_eq!(jobs["items"], Value::Array(vec![]));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_nothing_is_ignored_with_a_reason() {
    let mut test_server = TestServer::start(vec![]).await;
    for (number, (event, payload)) in [
        ("ping", serde_json::json!({"zen": "x", "hook_id": 1})),
        ("star", serde_json::json!({"action": "created"})),
        ("issue_comment", TestServer::comment("just talking", "alice", 1)),
        ("issue_comment", TestServer::comment("> @patchwright fix", "alice", 2)),
        ("issue_comment", TestServer::comment("@patchwright fix", "patchwright[bot]", 3)),
        ("issue_comment", TestServer::comment("@patchwright fix", "other[bot]", 4)),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = test_server.deliver(event, &payload.to_string(), &format!("ignored-{number}")).await;
        assert_eq!((answer.status, &body(&answer)["status"]), (200, &"ignored".into()), "{}", answer.text());
        assert!(!body(&answer)["reason"].as_str().unwrap().is_empty());
    }
    assert!(test_server.github.requests().is_empty(), "nothing was asked of GitHub");
    let chinese = test_server.post_comment("@patchwright 能做什么？").await;
    assert_eq!((chinese.status, &body(&chinese)["command"]), (202, &"help".into()));
    test_server.expect_comments(1).await;
    let shown = test_server.github.comments_on(42).pop().unwrap();
    assert!(shown.starts_with("请在问题下评论以下命令之一") && shown.contains("`@patchwright 修复 [说明]`"), "{shown}");
    let again = test_server.post_comment("@patchwright what can you do?").await;
    assert_eq!((again.status, &body(&again)["command"]), (202, &"help".into()));
    test_server.run_until_idle().await;
    assert_eq!(test_server.github.comments_on(42).len(), 1, "the help is given once to a person on an issue");
    let payload = TestServer::comment("@patchwright what can you do?", "bob", 99).to_string();
    test_server.deliver("issue_comment", &payload, "bob").await;
    test_server.finish_after_reply().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_its_kind() {
    let test_server = TestServer::start(vec![]).await;
    let good = TestServer::comment("@patchwright fix", "alice", 1);
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("issue");
    for (event, payload, status, printed) in [
        ("issue_comment", without.to_string(), 400, "missing field `issue`"),
        ("issue_comment", "nonsense".to_owned(), 400, "the body cannot be read"),
        ("issue_comment", String::new(), 400, "the body cannot be read"),
        ("no_such_event", good.to_string(), 400, "is not an event of github"),
        ("issue_comment", format!("{}{}", "[".repeat(200), "]".repeat(200)), 400, "the body cannot be read"),
    ] {
        let answer = test_server.deliver(event, &payload, "d").await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(printed), "{}", answer.text());
    }
    let keys = patchwright_core::webhook::SigningKeys::new([&patchwright_core::Secret::new(crate::harness::SECRET)]);
    let signed =
        |request: Request, text: &str| request.header("x-hub-signature-256", keys.sign(text.as_bytes()).unwrap());
    let form = Request::post(test_server.url("/api/webhook")).raw_json("{}").header("x-github-event", "ping");
    let both = signed(form.clone().header("x-github-delivery", "d").header("x-patchwright-event", "ping"), "{}");
    assert_eq!(test_server.send(both).await.status, 400);
    let packed = signed(form.clone().header("x-github-delivery", "d").header("content-encoding", "gzip"), "{}");
    assert_eq!(test_server.send(packed).await.status, 415);
    let elsewhere = test_server.get("/api/nothing").await;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(test_server.get("/api/webhook").await.status, 405);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_mode_takes_unsigned_deliveries_on_this_machine_only() {
    let test_server = TestServer::start_with(vec![], &[("TEST_MODE", "true"), ("WEBHOOK_SECRET", "")]).await;
    let answer = test_server.send(test_server.delivery("ping", "{}", "d")).await;
    assert_eq!((answer.status, &body(&answer)["reason"]), (200, &"ping".into()));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_cut_short() {
    let test_server = TestServer::start_with(vec![], &[("MAX_BODY_BYTES", "1000")]).await;
    let answer = test_server.deliver("ping", &" ".repeat(1001), "d").await;
    assert_eq!(answer.status, 413);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_a_polite_no() {
    let mut test_server = TestServer::start(vec![]).await;
    let payload = TestServer::comment("@patchwright fix", "mallory", 1).to_string();
    let answer = test_server.deliver("issue_comment", &payload, "d").await;
    test_server.run_until_idle().await;
    let shown = body(&test_server.get(&format!("/api/v1/jobs/{}", accepted(&answer))).await);
    assert_eq!(shown["status"], "refused", "{shown}");
    assert!(shown["failure"]["reason"].as_str().unwrap().contains("mallory may not start jobs here"), "{shown}");
    assert!(test_server.llm.asked().is_empty(), "nothing was spent");
    assert_eq!(test_server.newest_job().await, None);
    let comments = test_server.github.comments_on(42);
    assert!(comments.len() == 1 && comments[0].contains("Only people with write access"), "{comments:#?}");
    test_server.restart().await;
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allow_list_is_a_list_of_whole_names() {
    let settings = [("ALLOWED_USERS", "alice"), ("ALLOWED_REPOS", "acme/demo")];
    let test_server = TestServer::start_with(vec![], &settings).await;
    for by in ["mallory", "alice2", "alice "] {
        let payload = TestServer::comment("@patchwright fix", by, 1).to_string();
        let answer = test_server.deliver("issue_comment", &payload, "d").await;
        assert_eq!((answer.status, &body(&answer)["status"]), (403, &"forbidden".into()), "{by:?}");
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_wish_while_a_job_runs_is_told_of_it() {
    let script = vec![Script::Silence(std::time::Duration::from_secs(60))];
    let mut test_server = TestServer::start_with(script, &[("SHUTDOWN_TIMEOUT", "1")]).await;
    let first = accepted(&test_server.post_comment("@patchwright fix").await);
    let work = test_server.run_aside();
    test_server.llm.wait_for_requests(1).await;
    let second = test_server.post_comment("@patchwright fix").await;
    test_server.admit().await;
    let shown = body(&test_server.get(&format!("/api/v1/jobs/{}", accepted(&second))).await);
    assert_eq!(shown["job_id"], first.to_string(), "the request leads to the job that runs");
    let cancelled = test_server.post_comment("@patchwright cancel").await;
    assert_eq!((cancelled.status, &body(&cancelled)["command"]), (202, &"cancel".into()));
    test_server.admit().await;
    work.await.unwrap();
    let job = test_server.expect_end(first).await;
    assert_eq!(job.status(), patchwright_domain::JobStatus::Cancelled);
    assert!(test_server.github.comments_on(42).pop().unwrap().contains("The job was cancelled"));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_how_it_is() {
    let test_server = TestServer::start(vec![]).await;
    for path in ["/", "/health"] {
        assert_eq!(test_server.get(path).await.text(), r#"{"status":"healthy","service":"agent-gateway"}"#);
    }
    let status = body(&test_server.get("/api/status").await);
    assert_eq!(
        (&status["service"], &status["status"], &status["version"]),
        (&"agent-gateway".into(), &"running".into(), &"1.0.0".into())
    );
    assert_eq!((test_server.get("/livez").await.status, test_server.get("/readyz").await.status), (200, 200));
    let missing = test_server.get("/api/v1/jobs/00000000-0000-0000-0000-000000000001").await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(test_server.get("/api/v1/jobs?colour=red").await.status, 400);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_shown_to_who_has_the_token() {
    let test_server = TestServer::start_with(vec![], &[("API_TOKEN", "api-token-0123456789")]).await;
    assert_eq!(test_server.get("/api/v1/jobs").await.status, 401);
    let with =
        |token: &str| Request::get(test_server.url("/api/v1/jobs")).bearer(&patchwright_core::Secret::new(token));
    assert_eq!(test_server.send(with("wrong")).await.status, 401);
    assert_eq!(test_server.send(with("api-token-0123456789")).await.status, 200);
    test_server.finish().await;
}
