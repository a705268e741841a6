//! A secret of every kind is planted, and the model and the servers repeat what they can: afterwards none of them is
//! anywhere that people or thieves could look, in any common encoding.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use patchwright_domain::JobStatus;
use patchwright_http::Request;
use patchwright_testkit::server::{GITCODE_TOKEN, Script, TOKEN};
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method, PASSWORD};
use crate::harness::{ProcessLog, SECRET, TestServer, analysis};

const LLM_KEY: &str = "sk-canaryCanaryCanaryCanary0123";
const MASTER_KEY: &str = "master-key-canary-of-32-characters!!";
const API_TOKEN: &str = "api-token-canary-4711-4711-4711";
const SMTP_PASSWORD: &str = "smtp-canary-password-31337";
const JIRA_SECRET: &str = "jira-canary-client-secret-0816";
const CREDENTIAL: &str = "ghp_StoredCanaryStoredCanaryStored0123";
const CHANNEL_SECRET: &str = "whsec_Y2hhbm5lbC1jYW5hcnktc2VjcmV0LTEyMzQ1Njc4";

/// Every form of a secret that a careless program writes.
fn forms(secret: &str) -> [String; 5] {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    [
        secret.to_owned(),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        hex,
        percent,
    ]
}

/// A model that repeats the key in everything that it says.
fn echoing(code: &[String]) -> Vec<Script> {
    let [plain, base64, _, hex, percent] = forms(LLM_KEY);
    let answer = json!({
        "root_cause": format!("the key is {plain} or {base64}"), "fix_strategy": format!("use {hex}"),
        "changes": [{"file": "calc.py", "description": format!("write {percent}")}],
        "risks": [format!("{plain} is known")], "testing_suggestions": [], "risk_level": "low",
    });
    let mut script =
        vec![Script::Answer(format!("{} {plain}", analysis())), Script::Answer(format!("```json\n{answer}\n```"))];
    script.extend(code.iter().map(|code| Script::Answer(format!("Here: {plain}\n```python\n{code}```"))));
    script
}

fn code(comment: &str) -> String {
    format!("def add(a, b):\n    return a + b{comment}\n\n\ndef double(a):\n    return a * 2\n")
}

/// Starts a server with a secret in every slot. The log is that of the whole process.
async fn start(script: Vec<Script>) -> (TestServer, ProcessLog, Caller) {
    let log = ProcessLog::start();
    let settings = [
        ("PATCHWRIGHT_MASTER_KEY", MASTER_KEY),
        ("API_TOKEN", API_TOKEN),
        ("SMTP_URL", &*format!("smtp://mailer:{SMTP_PASSWORD}@127.0.0.1:1")),
        ("MAIL_FROM", "bot@example.org"),
        ("JIRA_CLIENT_ID", "client"),
        ("JIRA_CLIENT_SECRET", JIRA_SECRET),
        ("PUBLIC_URL", "http://127.0.0.1:1"),
    ];
    let test_server = TestServer::start_with(script, &settings).await;
    let operator = Caller { token: Some(API_TOKEN.to_owned()), ..Caller::default() };
    test_server.add_user(&operator, "olga", "admin").await;
    let channel = json!({"name": "hook", "kind": "webhook", "url": "https://hooks.example/x", "secret": CHANNEL_SECRET,
                         "events": ["job_failed", "job_succeeded"], "everyone": true});
    test_server.ask(&operator, Method::Post, "/api/v1/notifications", Some(&channel)).await;
    let stored = json!({"name": "stored", "platform": "github", "scope": "other-owner", "secret": CREDENTIAL});
    test_server.ask(&operator, Method::Post, "/api/v1/credentials", Some(&stored)).await;
    (test_server, log, operator)
}

async fn search(test_server: &TestServer, log: &ProcessLog, operator: &Caller, job: &str) {
    let issues = test_server.get_json(operator, "/api/v1/issues").await;
    let issue = issues["items"][0]["id"].as_str().unwrap().to_owned();
    let tasks = test_server.get_json(operator, &format!("/api/v1/tasks?job={job}")).await;
    let task = tasks["items"][0]["id"].as_str().unwrap_or("none").to_owned();
    let session = test_server.session("olga").await;
    let mut seen = format!(
        "{} {} {} {} {}",
        test_server.github.everything_visible(),
        test_server.git.git(crate::harness::REPO, &["log", "--all", "-p"]),
        serde_json::to_string(&test_server.llm.asked()).unwrap(),
        test_server.data_on_disk(),
        log.text(),
    );
    for path in [
        format!("/api/v1/jobs/{job}"),
        format!("/api/v1/jobs/{job}/calls"),
        "/api/v1/jobs".into(),
        "/api/v1/issues".into(),
        format!("/api/v1/issues/{issue}"),
        format!("/api/v1/tasks/{task}"),
        format!("/api/v1/tasks/{task}/logs"),
        format!("/api/v1/tasks/{task}/calls/1"),
        format!("/api/v1/tasks/{task}/calls/2"),
        format!("/api/v1/tasks/{task}/calls/3"),
        "/api/v1/notifications".into(),
        "/api/v1/credentials".into(),
        "/api/v1/users".into(),
        "/api/v1/audit".into(),
        "/api/status".into(),
        "/api/v1/stats".into(),
    ] {
        seen.push_str(&test_server.ask(operator, Method::Get, &path, None).await.text());
    }
    for path in [
        format!("/jobs/{job}"),
        format!("/jobs/{job}/patch"),
        format!("/issues/{issue}"),
        "/issues".into(),
        "/jobs".into(),
        "/board".into(),
        "/jobs".into(),
        "/statistics".into(),
        "/settings/credentials".into(),
        "/settings/notifications".into(),
        "/settings/users".into(),
        "/settings/nodes".into(),
        "/welcome".into(),
    ] {
        let mut request = Request::get(test_server.url(&path)).header("accept", "text/html");
        if let Some(cookie) = &session.cookie {
            request = request.header("cookie", cookie);
        }
        seen.push_str(&test_server.send(request).await.text());
    }
    assert!(seen.contains("[redacted]"), "what the model repeated is masked somewhere");
    let secrets = [
        SECRET,
        TOKEN,
        GITCODE_TOKEN,
        LLM_KEY,
        MASTER_KEY,
        API_TOKEN,
        SMTP_PASSWORD,
        JIRA_SECRET,
        CREDENTIAL,
        CHANNEL_SECRET,
        PASSWORD,
    ];
    for secret in secrets {
        for form in forms(secret) {
            let found = seen.find(&form).map(|at| {
                let from = seen[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
                seen[from..].chars().take(300 + form.len()).collect::<String>()
            });
            assert_eq!(found, None, "{form} was found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a4_no_secret_is_anywhere_after_a_good_job() {
    // The first edit repeats the key, and is sent back; a comment in another encoding is, too.
    let plain = code(&format!("  # {LLM_KEY}"));
    let encoded = code(&format!("  # {}", STANDARD.encode(LLM_KEY)));
    let (mut test_server, log, operator) = start(echoing(&[plain, encoded, code("")])).await;
    test_server.github.answer_next(502, &[], json!({"message": format!("no route for Bearer {TOKEN}")}));
    let job = test_server.fix().await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    search(&test_server, &log, &operator, &job.id.to_string()).await;
    test_server.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_a4_no_secret_is_anywhere_after_a_failing_job() {
    let mut script = echoing(&[]);
    let answer =
        json!({"error": {"message": format!("Incorrect API key provided: {LLM_KEY}"), "code": "invalid_api_key"}});
    script.push(Script::Error(401, answer));
    let (mut test_server, log, operator) = start(script).await;
    let job = test_server.fix().await;
    assert_eq!(job.status(), JobStatus::Failed);
    search(&test_server, &log, &operator, &job.id.to_string()).await;
    let result: Value = test_server.get_json(&operator, &format!("/api/v1/jobs/{}", job.id)).await;
    assert_eq!(result["failure"]["origin"], "model", "{result}");
    test_server.abandon().await;
}
