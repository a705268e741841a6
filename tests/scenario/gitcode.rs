//! A bug on GitCode, from the note to the pull request.

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_domain::job::report::Verdict;
use patchwright_http::{Request, Response};
use serde_json::{Value, json};

use crate::harness::{REPO, SECRET, TestServer, accepted, good_answers};

fn note(text: &str, by: &str, id: u64) -> Value {
    json!({
        "object_kind": "note", "event_type": "note", "uuid": "u",
        "user": {"id": 1_710_427, "username": by},
        "project": {"id": 1, "name": "demo", "namespace": "acme", "path_with_namespace": REPO, "default_branch": "main",
                    "git_http_url": "http://169.254.169.254/evil.git"},
        "object_attributes": {"id": id, "note": text, "noteable_id": 515_443, "noteable_type": "Issue", "system": false},
        "issue": {"id": 515_443, "iid": 42, "title": "add() subtracts", "description": "`add(1, 2)` is -1.",
                  "author": {"id": 1, "username": "alice"}},
    })
}

fn hook(test_server: &TestServer, path: &str, event: &str, payload: &Value) -> Request {
    let body = payload.to_string();
    let signature = SigningKeys::new([&Secret::new(SECRET)]).sign(body.as_bytes()).unwrap();
    Request::post(test_server.url(path))
        .raw_json(body)
        .header("x-gitcode-event", event)
        .header("x-gitcode-signature-256", signature)
}

async fn deliver(test_server: &TestServer, event: &str, payload: &Value) -> Response {
    test_server.send(hook(test_server, "/api/webhook", event, payload)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_becomes_a_ready_pull_request_on_gitcode() {
    let test_server = TestServer::start(good_answers()).await;
    let answer = deliver(&test_server, "Note Hook", &note("@patchwright fix", "alice", 1)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = test_server.expect_end(accepted(&answer)).await;
    assert_eq!((job.verdict, job.source.platform.as_str()), (Some(Verdict::FixedProven), "gitcode"));
    let pulls = test_server.gitcode.pulls();
    let [(title, head, base, draft)] = pulls.as_slice() else { panic!("{pulls:?}") };
    assert_eq!(
        (title.contains("42"), head.as_str(), base.as_str(), *draft),
        (true, job.branch.as_str(), "main", false)
    );
    let comments = test_server.gitcode.comments_on(42);
    assert_eq!(comments.len(), 2, "{comments:#?}");
    assert!(test_server.github.requests().is_empty(), "GitHub is not concerned");
    for secret in TestServer::secrets() {
        assert!(
            !test_server.gitcode.everything_visible().contains(secret) && !test_server.data_on_disk().contains(secret)
        );
    }
    // Without a delivery header the same note again is the same.
    let again = deliver(&test_server, "Note Hook", &note("@patchwright fix", "alice", 1)).await;
    assert_eq!((again.status, accepted(&again)), (200, job.id));
    let closed = json!({
        "object_attributes": {"iid": 30, "action": "merge", "state": "merged", "source_branch": job.branch.as_str()},
        "project": {"path_with_namespace": REPO},
    });
    let noted: Value = deliver(&test_server, "Merge Request Hook", &closed).await.json().unwrap();
    assert_eq!(noted["reason"], "noted: the pull request was merged");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_gitcode_gets_a_word_and_no_fix() {
    let test_server = TestServer::start(vec![]).await;
    let answer = deliver(&test_server, "Note Hook", &note("@patchwright fix", "mallory", 1)).await;
    assert_eq!(answer.status, 202);
    test_server.run_until_idle().await;
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", accepted(&answer))).await.json().unwrap();
    assert!(shown["failure"]["reason"].as_str().unwrap().contains("mallory"), "{shown}");
    assert!(test_server.gitcode.comments_on(42).pop().unwrap().contains("write access"));
    assert!(test_server.gitcode.pulls().is_empty() && test_server.llm.asked().is_empty());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitcodes_door_takes_a_password_only_where_it_is_allowed() {
    let payload = note("just talking", "alice", 1);
    let with_password = |test_server: &TestServer| {
        Request::post(test_server.url("/api/gitcode/webhook"))
            .raw_json(payload.to_string())
            .header("x-gitcode-event", "Note Hook")
            .header("x-gitcode-token", SECRET)
    };
    let strict = TestServer::start(vec![]).await;
    assert_eq!(strict.send(with_password(&strict)).await.status, 401);
    strict.finish().await;
    let lenient = TestServer::start_with(vec![], &[("GITCODE_WEBHOOK_PASSWORD", "true")]).await;
    assert_eq!(lenient.send(with_password(&lenient)).await.status, 200);
    // GitCode's event at GitHub's endpoint is not an event of GitHub.
    assert_eq!(lenient.send(hook(&lenient, "/api/github/webhook", "Note Hook", &payload)).await.status, 401);
    lenient.finish().await;
}
