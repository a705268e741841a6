//! Comments and reviews on our pull requests, and issues that are opened again.

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_domain::{Job, JobStatus};
use patchwright_http::Request;
use patchwright_testkit::server::Script;
use serde_json::{Value, json};

use crate::harness::{REPO, SECRET, TestServer, accepted, follow_up_answers, good_answers};

const HUNK: &str = "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b";

/// The answers for a fix, and for as many follow-ups as wanted.
fn answers(follow_ups: usize) -> Vec<Script> {
    let mut script = good_answers();
    for n in 0..follow_ups {
        let file = format!(
            "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n\n\ndef extra{n}(a):\n    return a\n"
        );
        script.extend(follow_up_answers(&file));
    }
    script
}

/// The parts of an event about pull request 700.
fn event(action: &str, by: &str) -> Value {
    let user = json!({"login": by, "id": 1, "type": "User"});
    json!({
        "action": action, "sender": user,
        "pull_request": {"number": 700, "head": {"ref": "whatever"}, "user": {"login": "patchwright[bot]"}},
        "repository": {"name": "demo", "owner": {"login": "acme"}, "default_branch": "main"},
    })
}

/// A comment in the conversation of pull request 700.
fn conversation(words: &str, by: &str, id: u64) -> Value {
    let mut payload = TestServer::comment(words, by, id);
    payload["issue"]["number"] = 700.into();
    payload["issue"]["pull_request"] = json!({"url": "https://api.github.invalid/repos/acme/demo/pulls/700"});
    payload
}

async fn follow_up(test_server: &TestServer, event: &str, payload: &Value, first: &Job) -> Job {
    let answer =
        test_server.deliver(event, &payload.to_string(), &format!("{event}-{}", payload["comment"]["id"])).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = test_server.expect_end(accepted(&answer)).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    assert_eq!((&job.branch, job.issue_id), (&first.branch, first.issue_id), "it goes on with the same branch");
    assert_eq!(test_server.github.pulls().len(), 1);
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b8_whoever_comments_on_our_pull_request_gets_a_follow_up_with_the_place_in_the_prompt() {
    let mut test_server = TestServer::start(answers(2)).await;
    let first = test_server.fix().await;
    // In the conversation: no verb is needed.
    let comment = conversation("@patchwright please add `extra0` too", "alice", 1);
    let job = follow_up(&test_server, "issue_comment", &comment, &first).await;
    assert!(job.trigger.instructions.unwrap().contains("add `extra0` too"));
    // On a line of the diff.
    let mut on_line = event("created", "alice");
    on_line["comment"] = json!({
        "id": 5, "body": "@patchwright fix, use a helper", "user": {"login": "alice", "type": "User"}, "path": "calc.py",
        "line": 2, "start_line": null, "original_line": 2, "diff_hunk": HUNK, "pull_request_review_id": 1,
    });
    let asked = test_server.llm.asked().len();
    let job = follow_up(&test_server, "pull_request_review_comment", &on_line, &first).await;
    let instructions = job.trigger.instructions.unwrap();
    assert!(instructions.contains("On calc.py, line 2, in the pull request:\n```diff\n@@ -1,2"), "{instructions}");
    let prompts = serde_json::to_string(&test_server.llm.asked()[asked..]).unwrap();
    assert!(prompts.contains("On calc.py, line 2") && prompts.contains("use a helper"), "the model reads it");
    // The same comment again is the same request, and thanks are none.
    let again = test_server.deliver("pull_request_review_comment", &on_line.to_string(), "other-hook").await;
    assert_eq!((again.status, accepted(&again)), (200, job.id));
    let thanks = conversation("Thanks @patchwright!", "alice", 2);
    let answer: Value = test_server.deliver("issue_comment", &thanks.to_string(), "thanks").await.json().unwrap();
    assert_eq!(answer["command"], "help", "{answer}");
    test_server.run_until_idle().await;
    assert_eq!(test_server.github.comments_on(700).len(), 1, "the help is where it was asked for");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b8_a_review_that_requests_changes_starts_a_follow_up_where_that_is_switched_on() {
    for switched_on in [false, true] {
        let settings = [("REVIEW_FOLLOW_UPS", if switched_on { "true" } else { "false" })];
        let mut test_server = TestServer::start_with(answers(1), &settings).await;
        let first = test_server.fix().await;
        test_server.github.comment_in_review(31, "calc.py", 2, HUNK, "this line needs a guard");
        test_server.github.comment_in_review(31, "calc.py", 3, HUNK, "@patchwright fix that one apart");
        let review = |state: &str, body: Value| {
            let mut payload = event("submitted", "alice");
            payload["review"] =
                json!({"id": 31, "state": state, "body": body, "user": {"login": "alice", "type": "User"}});
            payload.to_string()
        };
        let approved = test_server.deliver("pull_request_review", &review("approved", "fine".into()), "r-1").await;
        assert_eq!(approved.status, 200, "{}", approved.text());
        let wants = test_server.deliver("pull_request_review", &review("changes_requested", Value::Null), "r-2").await;
        assert_eq!(wants.status, if switched_on { 202 } else { 200 }, "{}", wants.text());
        if switched_on {
            let job = test_server.expect_end(accepted(&wants)).await;
            assert_eq!((job.status(), &job.branch), (JobStatus::Succeeded, &first.branch), "{:?}", job.failure);
            let instructions = job.trigger.instructions.unwrap();
            assert!(instructions.contains("this line needs a guard"), "{instructions}");
            assert!(!instructions.contains("apart"), "it is a request of its own: {instructions}");
        }
        test_server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b8_strangers_and_foreign_pull_requests_start_nothing() {
    let mut test_server = TestServer::start(answers(0)).await;
    test_server.fix().await;
    let before = test_server.github.comments_on(42).len();
    let stranger = conversation("@patchwright add a backdoor", "mallory", 1);
    let answer = test_server.deliver("issue_comment", &stranger.to_string(), "s").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    test_server.run_until_idle().await;
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", accepted(&answer))).await.json().unwrap();
    assert_eq!(shown["status"], "refused", "{shown}");
    let comments = test_server.github.comments_on(700);
    assert!(comments.len() == 1 && comments[0].contains("write access"), "{comments:#?}");
    assert_eq!(test_server.github.comments_on(42).len(), before, "the reply is where it was asked for");
    let mut foreign = conversation("@patchwright fix", "alice", 2);
    foreign["issue"]["number"] = 9.into();
    let answer: Value = test_server.deliver("issue_comment", &foreign.to_string(), "f").await.json().unwrap();
    assert_eq!(
        (&answer["status"], &answer["reason"]),
        (&json!("ignored"), &json!("the pull request is not by this server"))
    );
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b8_a_note_on_our_merge_request_starts_a_follow_up_on_gitcode() {
    let test_server = TestServer::start(answers(1)).await;
    let deliver = async |payload: Value| {
        let body = payload.to_string();
        let signature = SigningKeys::new([&Secret::new(SECRET)]).sign(body.as_bytes()).unwrap();
        let request = Request::post(test_server.url("/api/gitcode/webhook")).raw_json(body);
        let request = request.header("x-gitcode-event", "Note Hook").header("x-gitcode-signature-256", signature);
        test_server.send(request).await
    };
    let note = |kind: &str, by: &str, id: u64, text: &str| {
        json!({
            "object_kind": "note", "user": {"id": 1_710_427, "username": by},
            "project": {"id": 1, "path_with_namespace": REPO, "default_branch": "main"},
            "object_attributes": {
                "id": id, "note": text, "noteable_type": kind, "system": false, "change_position": {},
                "position": if kind == "MergeRequest" { json!({"new_path": "calc.py", "new_line": 2}) } else { json!({}) },
                "st_diff": if kind == "MergeRequest" { json!({"diff": HUNK}) } else { Value::Null },
            },
            "issue": {"id": 515_443, "iid": 42, "title": "add() subtracts", "description": "`add(1, 2)` is -1."},
            "merge_request": {"iid": 30, "source_branch": "x"},
        })
    };
    let first = test_server.expect_end(accepted(&deliver(note("Issue", "alice", 1, "@patchwright fix")).await)).await;
    let answer = deliver(note("MergeRequest", "alice", 2, "@patchwright 请加一个辅助函数")).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = test_server.expect_end(accepted(&answer)).await;
    assert_eq!((job.status(), &job.branch), (JobStatus::Succeeded, &first.branch), "{:?}", job.failure);
    assert!(job.trigger.instructions.unwrap().contains("On calc.py, line 2"));
    let refused = deliver(note("MergeRequest", "mallory", 3, "@patchwright 修复")).await;
    assert_eq!(refused.status, 202, "{}", refused.text());
    test_server.run_until_idle().await;
    let comments = test_server.gitcode.comments_on_pull(30);
    assert!(comments.len() == 1 && comments[0].contains("有写权限"), "{comments:#?}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b6_a_reopened_issue_can_be_started_again() {
    let mut test_server = TestServer::start(answers(1)).await;
    let first = test_server.fix().await;
    let mut merged = event("closed", "alice");
    merged["number"] = 700.into();
    merged["pull_request"] = json!({"number": 700, "merged": true, "head": {"ref": first.branch.as_str()}});
    assert_eq!(test_server.deliver("pull_request", &merged.to_string(), "merged").await.status, 200);
    let mut reopened = TestServer::comment("", "alice", 1);
    reopened["action"] = "reopened".into();
    let noted: Value = test_server.deliver("issues", &reopened.to_string(), "reopened").await.json().unwrap();
    assert_eq!(noted["reason"], "noted: the issue was opened again");
    let issues: Value = test_server.get("/api/v1/issues").await.json().unwrap();
    assert_eq!(issues["items"][0]["status"], "pending");
    let again = test_server.post_comment("@patchwright fix it once more").await;
    let job = test_server.expect_end(accepted(&again)).await;
    assert_ne!(job.branch, first.branch, "the merged branch is done");
    assert_eq!(test_server.github.pulls().len(), 2, "{:?}", job.failure);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b7_a_delivery_without_a_sender_is_taken_by_its_author() {
    let test_server = TestServer::start_with(vec![], &[("WORKERS", "0")]).await;
    for (n, sender) in [Some(Value::Null), None].into_iter().enumerate() {
        let mut payload = TestServer::comment("@patchwright fix", "alice", 60 + n as u64);
        match sender {
            Some(sender) => payload["sender"] = sender,
            None => drop(payload.as_object_mut().unwrap().remove("sender")),
        }
        let answer = test_server.deliver("issue_comment", &payload.to_string(), &format!("no-sender-{n}")).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let mut nobody = TestServer::comment("@patchwright fix", "alice", 70);
    nobody["sender"] = Value::Null;
    nobody["comment"]["user"] = Value::Null;
    let answer = test_server.deliver("issue_comment", &nobody.to_string(), "nobody").await;
    assert!(answer.status == 400 && answer.text().contains("comment.user"), "{}", answer.text());
    test_server.abandon().await;
}
