//! Who is taken for whom: the operator before there is a user, clients behind proxies, and what refused senders see.

use std::io::{Read as _, Write as _};

use patchwright_domain::{JobId, JobStatus};
use patchwright_http::Request;
use serde_json::{Value, json};

use crate::harness::{TestServer, accepted, good_answers};

/// Sends the lines of a request's head over a plain connection, and returns status and response.
fn send(test_server: &TestServer, lines: &[&str], body: &str) -> (u16, String) {
    let url = test_server.url("");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut head = lines.join("\r\n").replace("{own}", address);
    head.push_str(&format!("\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    (response.split(' ').nth(1).unwrap().parse().unwrap(), response)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a1_only_a_direct_request_from_this_machine_is_the_operators() {
    let test_server = TestServer::start_with(vec![], &[("PUBLIC_URL", "http://bot.example")]).await;
    let users = |version: &str, more: &[&str]| {
        let line = format!("GET /api/v1/users HTTP/{version}");
        send(&test_server, &[&[line.as_str()], more].concat(), "").0
    };
    assert_eq!(users("1.1", &["host: {own}"]), 200);
    assert_eq!(users("1.1", &["host: bot.example"]), 200);
    // A proxy in front, whether or not it says for whom it asks.
    for forwarded in
        ["x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1", "x-real-ip: 127.0.0.1", "via: 1.1 proxy"]
    {
        assert_eq!(users("1.1", &["host: {own}", forwarded]), 401, "{forwarded}");
    }
    assert_eq!(users("1.0", &["host: {own}"]), 401, "a proxy that adds nothing speaks an old version");
    // A page whose name resolves to this machine, and a page of another origin.
    assert_eq!(users("1.1", &["host: rebound.example"]), 401);
    let evil = [
        "POST /api/v1/users HTTP/1.1",
        "host: {own}",
        "origin: https://evil.example",
        "content-type: application/json",
    ];
    let user = json!({"login": "eve", "role": "admin", "password": "long-enough-1"}).to_string();
    assert_eq!(send(&test_server, &evil, &user).0, 403);
    for page in ["/welcome", "/settings/users"] {
        let (status, text) = send(&test_server, &[&format!("GET {page} HTTP/1.1"), "host: rebound.example"], "");
        assert!(status == 303 || status == 302 || status == 401, "{page}: {status} {text}");
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a1_one_stranger_behind_the_proxy_locks_nobody_else_out() {
    let mut test_server = TestServer::start(vec![]).await;
    let root = json!({"login": "root", "role": "admin", "password": "a long password"});
    let made = test_server.send(Request::post(test_server.url("/api/v1/users")).json(&root)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    test_server.restart_with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let log_in = |from: &str, login: &str, password: &str| {
        let from = format!("x-forwarded-for: {from}");
        let head = ["POST /api/v1/auth/login HTTP/1.1", "host: {own}", "content-type: application/json", &from];
        send(&test_server, &head, &json!({"login": login, "password": password}).to_string())
    };
    let mut status = 0;
    for attempt in 0..52 {
        status = log_in("203.0.113.9", &format!("user{attempt}"), "wrong").0;
    }
    assert_eq!(status, 429, "the stranger has to wait");
    let (status, response) = log_in("198.51.100.7", "root", "a long password");
    assert_eq!(status, 200, "{response}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e3_a_refused_delivery_is_shown_where_the_webhook_is_set_up() {
    let test_server = TestServer::start(vec![]).await;
    let body = TestServer::comment("@patchwright fix", "alice", 1).to_string();
    let delivery = test_server.delivery("issue_comment", &body, "d-1").header("x-hub-signature-256", "sha256=00");
    assert_eq!(test_server.send(delivery).await.status, 401);
    let page = test_server.send(Request::get(test_server.url("/welcome")).header("accept", "text/html")).await.text();
    assert!(page.contains("data-part=\"refusal\"") && page.contains("github 401"), "{page}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_e4_every_page_that_can_be_read_answers_head() {
    let test_server = TestServer::start(vec![]).await;
    for path in ["/health", "/livez", "/readyz", "/api/status", "/api/v1/issues", "/issues"] {
        let (status, response) = send(&test_server, &[&format!("HEAD {path} HTTP/1.1"), "host: {own}"], "");
        assert_eq!(status, 200, "{path}: {response}");
        assert!(response.ends_with("\r\n\r\n"), "{path} sent a body: {response}");
        let lower = response.to_lowercase();
        for header in ["x-content-type-options: nosniff", "referrer-policy: same-origin"] {
            assert!(lower.contains(header), "{path}: {response}");
        }
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c6_a_server_that_cannot_write_is_not_ready() {
    let test_server = TestServer::start(vec![]).await;
    // The file that the probe writes cannot be made.
    std::fs::create_dir(test_server.data_dir().join(".write-check")).unwrap();
    let answer = test_server.get("/readyz").await;
    assert!(answer.status == 503 && answer.text().contains("cannot be written"), "{}", answer.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b7_one_comment_through_two_hooks_is_one_job_and_both_hear_of_it() {
    let test_server = TestServer::start_with(vec![], &[("WORKERS", "0")]).await;
    let body = TestServer::comment("@patchwright fix", "alice", 7).to_string();
    let first: Value = test_server.deliver("issue_comment", &body, "repository-hook").await.json().unwrap();
    let second = test_server.deliver("issue_comment", &body, "organisation-hook").await;
    let reply: Value = second.json().unwrap();
    assert_eq!((&reply["status"], &reply["duplicate"]), (&json!("accepted"), &json!(true)), "{reply}");
    assert_eq!(reply["job_id"], first["job_id"]);
    test_server.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b6_whoever_asks_for_what_cannot_be_done_is_told_why() {
    let mut test_server = TestServer::start(good_answers()).await;
    assert_eq!(test_server.post_comment("@patchwright fix").await.status, 202);
    assert_eq!(test_server.post_comment("@patchwright fix").await.status, 202);
    test_server.run_until_idle().await;
    test_server.post_comment("@patchwright 重试").await;
    test_server.run_until_idle().await;
    let comments = test_server.github.comments_on(42).join("\n");
    assert!(comments.contains("already queued or running") && comments.contains("上一个任务已成功"), "{comments}");
    let branch = test_server.github.pulls()[0].1.clone();
    let merged = json!({
        "action": "closed", "number": 700, "pull_request": {"merged": true, "head": {"ref": branch}},
        "repository": {"owner": {"login": "acme"}, "name": "demo"},
    });
    assert_eq!(test_server.deliver("pull_request", &merged.to_string(), "merged").await.status, 200);
    let late = test_server.post_comment("@patchwright fix").await;
    assert_eq!(late.status, 202, "{}", late.text());
    test_server.run_until_idle().await;
    let comments = test_server.github.comments_on(42).pop().unwrap();
    assert!(comments.contains("was merged"), "{comments}");
    test_server.finish().await;
}

/// A comment on issue #42 by somebody.
async fn ask(test_server: &TestServer, words: &str, by: &str, id: u64) -> JobId {
    let payload = TestServer::comment(words, by, id).to_string();
    let answer = test_server.deliver("issue_comment", &payload, &format!("ask-{id}")).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    accepted(&answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b5_a_crowd_of_strangers_gets_one_reply_and_holds_back_nobody() {
    let test_server = TestServer::start(good_answers()).await;
    let mut refused = Vec::new();
    for n in 0..100 {
        // Most of them are different people, some ask again and again.
        refused.push(ask(&test_server, "@patchwright fix", &format!("stranger-{}", n % 70), 1000 + n).await);
    }
    let admitted = ask(&test_server, "@patchwright fix", "alice", 5000).await;
    test_server.admit().await;
    let job = test_server.app().engine.job(admitted).await.unwrap().expect("the maintainer's request is a job");
    assert_eq!(job.status(), JobStatus::Queued);
    let job = test_server.expect_end(admitted).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);

    let comments = test_server.github.comments_on(42);
    let polite = comments.iter().filter(|comment| comment.contains("Only people with write access")).count();
    assert_eq!((polite, comments.len()), (1, 3), "one refusal, and the job's two: {comments:#?}");
    let jobs: Value = test_server.get("/api/v1/jobs").await.json().unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");
    let stats: Value = test_server.get("/api/v1/stats").await.json().unwrap();
    let day = &stats["groups"][0];
    assert_eq!((&day["failed"], &day["succeeded"]), (&json!(0), &json!(1)), "{stats}");
    for id in refused {
        let shown: Value = test_server.get(&format!("/api/v1/jobs/{id}")).await.json().unwrap();
        assert_eq!((&shown["status"], &shown["job_id"]), (&json!("refused"), &json!(id)), "{shown}");
        assert_eq!(shown["webhook_payload"]["issue"]["number"], 42, "it is the whole Job object");
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b5_a_refusal_changes_no_state_and_a_person_is_refused_once() {
    let mut test_server = TestServer::start(vec![]).await;
    for (n, words) in
        ["@patchwright fix", "@patchwright cancel", "@patchwright 方案", "@patchwright approve"].iter().enumerate()
    {
        let payload = TestServer::comment(words, "mallory", 10 + n as u64).to_string();
        test_server.deliver("issue_comment", &payload, &format!("m-{n}")).await;
    }
    test_server.run_until_idle().await;
    let issues: Value = test_server.get("/api/v1/issues").await.json().unwrap();
    assert!(issues["items"].as_array().unwrap().iter().all(|issue| issue["status"] == "pending"), "{issues}");
    assert_eq!(test_server.github.comments_on(42).len(), 1);
    // Two hours later, and after a restart: the same person is not answered again, another one is.
    test_server.restart().await;
    test_server.advance(std::time::Duration::from_secs(7200)).await;
    ask(&test_server, "@patchwright fix", "Mallory", 20).await;
    test_server.run_until_idle().await;
    assert_eq!(test_server.github.comments_on(42).len(), 1);
    ask(&test_server, "@patchwright 修复", "oscar", 21).await;
    test_server.run_until_idle().await;
    let comments = test_server.github.comments_on(42);
    assert!(comments.len() == 2 && comments[1].contains("有写权限"), "{comments:#?}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_b5_a_forge_that_cannot_be_asked_delays_the_request_and_nobody_elses() {
    let test_server = TestServer::start(good_answers()).await;
    test_server.github.permit("bob", "write");
    test_server.github.fail_by_chance(100, 1);
    let waits = ask(&test_server, "@patchwright fix", "bob", 1).await;
    test_server.admit().await;
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{waits}")).await.json().unwrap();
    assert_eq!(shown["status"], "requested", "{shown}");
    test_server.github.fail_no_more();
    let other = ask(&test_server, "@patchwright fix", "alice", 2).await;
    test_server.admit().await;
    let job = test_server.app().engine.job(other).await.unwrap().expect("it does not wait for the first");
    assert_eq!(job.trigger.actor, "alice");
    let job = test_server.expect_end(other).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a8_long_titles_are_cut_and_nodes_are_not_where_the_metadata_is() {
    let test_server = TestServer::start_with(vec![], &[("WORKERS", "0")]).await;
    let mut payload = TestServer::comment("@patchwright fix", "alice", 1);
    payload["issue"]["title"] = "x".repeat(1 << 20).into();
    payload["issue"]["body"] = "é".repeat(1 << 20).into();
    let answer = test_server.deliver("issue_comment", &payload.to_string(), "long").await;
    test_server.admit().await;
    let job = test_server.app().engine.job(accepted(&answer)).await.unwrap().unwrap();
    let issue = test_server.app().engine.issue(job.issue_id).await.unwrap().unwrap();
    assert_eq!((job.title.len(), issue.title.len(), issue.body.chars().count()), (500, 500, 65_536));
    for (number, (url, status)) in [
        ("https://169.254.169.254/x", 400),
        ("https://[fe80::1]:8007", 400),
        ("https://[::ffff:169.254.169.254]", 400),
        ("https://10.0.0.7:8007", 400),
        ("https://0.0.0.0", 400),
        ("https://203.0.113.7:8007", 201),
        ("http://127.0.0.1:8007", 201),
        ("https://node.example", 201),
    ]
    .into_iter()
    .enumerate()
    {
        let node = json!({"name": format!("n{number}"), "push_url": url});
        let made = test_server.send(Request::post(test_server.url("/api/v1/nodes")).json(&node)).await;
        assert_eq!(made.status, status, "{url}: {}", made.text());
    }
    for site in ["169.254.169.254", "localhost", "jira.local"] {
        assert!(patchwright_domain::jira::site_name(site).is_err(), "{site}");
    }
    test_server.abandon().await;
}
