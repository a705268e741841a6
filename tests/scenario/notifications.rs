//! Notifications: to the subscribed channels, signed, and sent once.

use std::time::Duration;

use patchwright_http::{Request, Response};
use patchwright_testkit::server::{HookServer, Posted, SmtpServer};
use serde_json::{Value, json};

use crate::harness::{TestServer, good_answers};

const ALL: [&str; 6] =
    ["job_succeeded", "job_failed", "job_cancelled", "plan_ready", "pull_request_opened", "pull_request_merged"];

async fn post(test_server: &TestServer, path: &str, body: &Value) -> Response {
    test_server.send(Request::post(test_server.url(path)).json(body)).await
}

async fn channel(test_server: &TestServer, kind: &str, target: &str, secret: Option<&str>) -> Value {
    let body = json!({
        "name": kind, "kind": kind, "target": target, "events": ALL, "everyone": true, "secret": secret,
    });
    let made = post(test_server, "/api/v1/notifications", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json().unwrap()
}

async fn taken(test_server: &TestServer, hook: &HookServer, count: usize) -> Vec<Posted> {
    test_server.run_until_idle().await;
    let posted = hook.posted();
    assert!(posted.len() >= count, "{posted:#?}");
    posted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_told_to_every_channel_in_its_own_form() {
    let mail = SmtpServer::start();
    let settings = [("ALLOW_PRIVATE_ADDRESSES", "true"), ("SMTP_URL", &mail.url()), ("SMTP_FROM", "bot@example.org")];
    let mut test_server = TestServer::start_with(good_answers(), &settings).await;
    let hooks: Vec<HookServer> = (0..4).map(|_| HookServer::start(&[])).collect();
    let made = channel(&test_server, "webhook", &hooks[0].url(), None).await;
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    channel(&test_server, "slack", &hooks[1].url(), None).await;
    channel(&test_server, "feishu", &hooks[2].url(), Some("feishu-secret")).await;
    channel(&test_server, "dingtalk", &hooks[3].url(), Some("dingtalk-secret")).await;
    channel(&test_server, "email", "olga@example.org", None).await;
    let listed = test_server.get("/api/v1/notifications").await.text();
    assert!(!listed.contains(secret) && !listed.contains("feishu-secret"), "{listed}");
    let job = test_server.fix().await;
    test_server.expect_comments(0).await;

    let hooked = taken(&test_server, &hooks[0], 2).await;
    let types: Vec<Value> = hooked.iter().map(|posted| serde_json::from_str(&posted.body).unwrap()).collect();
    let kinds: std::collections::BTreeSet<&str> = types.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["job.succeeded", "pull_request.opened"].into(), "{types:#?}");
    let done = types.iter().find(|body| body["type"] == "job.succeeded").unwrap();
    assert_eq!(done["data"]["job_id"], job.id.to_string());
    assert_eq!((&done["data"]["verdict"], &done["data"]["issue_number"]), (&"fixed_proven".into(), &42.into()));
    for posted in &hooked {
        let header = |name: &str| posted.headers[name].as_str();
        let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), posted.body);
        assert_eq!(header("webhook-signature"), format!("v1,{}", hmac(&unpacked(secret), &signed)));
    }
    let slack: Value = serde_json::from_str(&taken(&test_server, &hooks[1], 2).await[1].body).unwrap();
    assert!(slack["text"].as_str().unwrap().contains("acme/demo#42"), "{slack}");
    let feishu: Value = serde_json::from_str(&taken(&test_server, &hooks[2], 2).await[0].body).unwrap();
    let key = format!("{}\nfeishu-secret", feishu["timestamp"].as_str().unwrap());
    assert_eq!((&feishu["msg_type"], &feishu["sign"]), (&"text".into(), &hmac(key.as_bytes(), "").into()));
    let dingtalk = &taken(&test_server, &hooks[3], 2).await[0];
    assert!(dingtalk.path.contains("timestamp=") && dingtalk.path.contains("sign="), "{}", dingtalk.path);
    let mails = mail.mails();
    let mail = mails.iter().find(|mail| mail.contains("the job succeeded")).unwrap();
    assert!(
        mail.contains("RCPT TO:<olga@example.org>") && mail.contains("Subject: [patchwright] acme/demo#42"),
        "{mail}"
    );
    test_server.finish().await;
}

fn unpacked(secret: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap()
}

fn hmac(key: &[u8], text: &str) -> String {
    use base64::Engine as _;
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(tag)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_told_again_and_who_refuses_is_not() {
    let test_server = TestServer::start_with(vec![], &[("ALLOW_PRIVATE_ADDRESSES", "true"), ("RETRY_WAIT", "1")]).await;
    let late = HookServer::start(&[(500, "oops"), (200, "{}")]);
    let gone = HookServer::start(&[(410, "gone")]);
    let id = async |hook: &HookServer| {
        let made = channel(&test_server, "webhook", &hook.url(), None).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let (late_id, gone_id) = (id(&late).await, id(&gone).await);
    for id in [&late_id, &gone_id] {
        assert_eq!(post(&test_server, &format!("/api/v1/notifications/{id}/test"), &json!({})).await.status, 202);
    }
    test_server.run_until_idle().await;
    test_server.advance(Duration::from_secs(10)).await;
    let tries = taken(&test_server, &late, 2).await;
    assert_eq!(tries[0].headers["webhook-id"], tries[1].headers["webhook-id"], "it is the same one");
    let failed: Value = test_server.get("/api/v1/notifications/failed").await.json().unwrap();
    let dead = &failed["items"][0];
    assert_eq!(dead["channel_id"], gone_id.as_str());
    assert!(dead["error"].as_str().unwrap().contains("410"), "{dead}");
    assert_eq!(gone.posted().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_this_network_are_not_told_anything_unless_an_administrator_allows_it() {
    let test_server = TestServer::start(vec![]).await;
    let near = HookServer::start(&[]);
    let by_name = near.url().replace("127.0.0.1", "localhost");
    for target in [near.url(), by_name, "http://169.254.169.254/latest/meta-data".to_owned()] {
        let made = channel(&test_server, "slack", &target, None).await;
        let id = made["id"].as_str().unwrap();
        post(&test_server, &format!("/api/v1/notifications/{id}/test"), &json!({})).await;
    }
    test_server.run_until_idle().await;
    let failed: Value = test_server.get("/api/v1/notifications/failed").await.json().unwrap();
    let dead = &failed["items"];
    assert!(dead.as_array().unwrap().len() >= 2, "{dead}");
    assert!(dead[0]["error"].as_str().unwrap().contains("ALLOW_PRIVATE_ADDRESSES"), "{dead}");
    assert!(near.posted().is_empty());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_gets_another_name_other_events_and_another_secret() {
    let mut test_server = TestServer::start_with(good_answers(), &[("ALLOW_PRIVATE_ADDRESSES", "true")]).await;
    let hook = HookServer::start(&[]);
    let made = channel(&test_server, "webhook", &hook.url(), None).await;
    let path = format!("/api/v1/notifications/{}", made["id"].as_str().unwrap());
    let secret = "whsec_bmV3IHNlY3JldCwgbmV3IHNlY3JldA==";
    let edit = json!({"name": "only the end", "events": ["job_succeeded"], "secret": secret});
    let changed = test_server.send(Request::patch(test_server.url(&path)).json(&edit)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let shown = test_server.get(&path).await;
    let (shown, text): (Value, _) = (shown.json().unwrap(), shown.text());
    assert_eq!((&shown["name"], &shown["events"]), (&"only the end".into(), &json!(["job_succeeded"])));
    assert!(!text.contains("whsec_"), "{text}");
    for wrong in [json!({"name": ""}), json!({"events": ["lunch"]}), json!({"secret": "a b"}), json!({"target": "x"})] {
        let answer = test_server.send(Request::patch(test_server.url(&path)).json(&wrong)).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    test_server.fix().await;
    test_server.expect_comments(0).await;
    let posted = taken(&test_server, &hook, 1).await;
    let header = |name: &str| posted[0].headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), posted[0].body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", hmac(&unpacked(secret), &signed)));
    assert!(posted.iter().all(|posted| posted.body.contains("job.succeeded")), "{posted:?}");
    test_server.finish().await;
}
