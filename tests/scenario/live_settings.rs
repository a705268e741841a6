//! Settings that an administrator changes while the server runs, and the first steps that use them.

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{Request, Response};
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method};
use crate::harness::{SECRET, TestServer, good_answers};

/// A server that nothing is configured for but the addresses of the forge, and its administrator.
async fn unconfigured() -> (TestServer, Caller) {
    let unset = ["WEBHOOK_SECRET", "GITHUB_TOKEN", "GITCODE_TOKEN", "LLM_BASE_URL", "LLM_API_KEY"];
    // The demo's tests are run by cargo.
    let homes = ["HOME", "CARGO_HOME", "RUSTUP_HOME"].map(|name| (name, std::env::var(name).unwrap_or_default()));
    let homes = homes.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<(&str, &str)> = unset.map(|name| (name, "")).into_iter().chain(homes).collect();
    let test_server = TestServer::start_with(good_answers(), &settings).await;
    test_server.add_user(&Caller::default(), "root", "admin").await;
    let admin = test_server.session("root").await;
    (test_server, admin)
}

impl TestServer {
    /// Submits a form of a page without its script.
    async fn submit(&self, by: &Caller, path: &str, fields: &[(&str, &str)]) -> Response {
        let csrf = by.csrf.as_deref().unwrap();
        let encode =
            |text: &str| -> String {
                text.bytes()
                    .map(|byte| {
                        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
                    })
                    .collect()
            };
        let own = [("csrf", csrf)];
        let pairs = own.iter().chain(fields).map(|(name, value)| format!("{name}={}", encode(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let request = Request::post(self.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header("cookie", by.cookie.as_ref().unwrap())
            .body(body);
        self.send(request).await
    }

    async fn setting(&self, by: &Caller, name: &str) -> Value {
        let all = self.get_json(by, "/api/v1/settings").await;
        all["items"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap().clone()
    }

    async fn set(&self, by: &Caller, name: &str, value: &str) -> Response {
        self.ask(by, Method::Put, &format!("/api/v1/settings/{name}"), Some(&json!({"value": value}))).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_connected_on_the_page_answers_at_once_and_after_a_restart() {
    let (mut test_server, admin) = unconfigured().await;
    let before = test_server.page(&admin, "/welcome").await.text();
    assert!(before.contains("No model is configured"), "{before}");
    let address = test_server.llm.url();
    let fields = [("base_url", address.as_str()), ("model", "tiny"), ("api_key", "sk-typed-canary-0123456789")];
    let answer = test_server.submit(&admin, "/welcome/model/set", &fields).await;
    assert!(answer.text().contains("tiny"), "the browser is led back to the page: {}", answer.text());
    assert_eq!(test_server.llm.asked()[0]["model"], "tiny", "it was sent a test prompt");
    test_server.restart().await;
    let page = test_server.page(&admin, "/welcome").await.text();
    assert!(page.contains("<code>tiny</code>") && !page.contains("sk-typed-canary"), "{page}");
    let key = test_server.setting(&admin, "LLM_API_KEY").await;
    assert_eq!(
        (&key["value"], &key["source"], &key["changed_by"]),
        (&json!("[redacted]"), &json!("stored"), &json!("root"))
    );
    let audit = test_server.get_json(&admin, "/api/v1/audit").await.to_string();
    assert!(
        audit.contains("setting.changed") && audit.contains("LLM_MODEL") && !audit.contains("sk-typed-canary"),
        "{audit}"
    );
    // Without a new key the former one stays.
    let fields = [("base_url", address.as_str()), ("model", "larger"), ("api_key", "")];
    test_server.submit(&admin, "/welcome/model/set", &fields).await;
    assert_eq!(test_server.setting(&admin, "LLM_API_KEY").await["source"], "stored");
    let refused =
        test_server.submit(&admin, "/welcome/model/set", &[("base_url", "localhost:1"), ("model", "kept")]).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text().contains("no http or https address") && refused.text().contains("value=\"kept\""),
        "{}",
        refused.text()
    );
    assert_eq!(
        test_server.setting(&admin, "LLM_MODEL").await["value"],
        "larger",
        "nothing of a refused form is stored"
    );
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_take_effect_is_stored() {
    let (test_server, admin) = unconfigured().await;
    for (name, value, status, says) in [
        ("LLM_TRIES", "many", 409, "it is not a number"),
        ("LLM_MODEL", " ", 409, "1 to"),
        ("TRIGGER_PERMISSION", "everybody", 409, "write, anyone"),
        ("BIND", "0.0.0.0:80", 409, "environment"),
        ("DATABASE_URL", "sqlite://other.db", 409, "restart"),
        ("SANDBOX_TIMEOUT", "5", 409, "restart"),
        ("MAX_ATTEMPTS", "9", 409, "environment"),
        ("NO_SUCH_SETTING", "1", 404, "NO_SUCH_SETTING"),
        ("GITHUB_APP_ID", "1", 409, "GITHUB_APP_PRIVATE_KEY"),
    ] {
        let answer = test_server.set(&admin, name, value).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.text().contains(says), "{name}: {}", answer.text());
    }
    let together = json!({"changes": [{"name": "LLM_MODEL", "value": "m"}, {"name": "LLM_TRIES", "value": "many"}]});
    assert_eq!(test_server.ask(&admin, Method::Patch, "/api/v1/settings", Some(&together)).await.status, 409);
    assert_eq!(test_server.setting(&admin, "LLM_MODEL").await["source"], "default", "all changes take effect or none");
    let twice = json!({"changes": [{"name": "LLM_MODEL", "value": "m"}, {"name": "LLM_MODEL"}]});
    assert_eq!(test_server.ask(&admin, Method::Patch, "/api/v1/settings", Some(&twice)).await.status, 409);
    assert_eq!(test_server.set(&admin, "TRIGGER_PERMISSION", "anyone").await.status, 200);
    let removed = test_server.ask(&admin, Method::Delete, "/api/v1/settings/TRIGGER_PERMISSION", None).await;
    assert_eq!((removed.status, removed.json::<Value>().unwrap()["source"].clone()), (200, json!("default")));
    test_server.add_user(&admin, "mia", "member").await;
    let member = test_server.session("mia").await;
    assert_eq!(test_server.set(&member, "LLM_MODEL", "mine").await.status, 403);
    assert_eq!(test_server.ask(&member, Method::Get, "/api/v1/settings", None).await.status, 403);
    let typed = [("value", "soon")];
    let refused = test_server.submit(&admin, "/settings/configuration/JOB_TIMEOUT/change", &typed).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text().contains("value=\"soon\"") && refused.text().contains("number of seconds"),
        "{}",
        refused.text()
    );
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_generated_on_the_page_authenticates_deliveries_at_once() {
    let (test_server, admin) = unconfigured().await;
    let ping = json!({"zen": "Keep it simple.", "hook_id": 1, "hook": {"type": "Repository"}}).to_string();
    let page = test_server.submit(&admin, "/welcome/secret/new", &[]).await.text();
    let secret = page.split("id=\"secret\"").nth(1).unwrap().split('>').nth(1).unwrap().split('<').next().unwrap();
    let deliver = async |secret: &str, id: &str| {
        let signature = SigningKeys::new([&Secret::new(secret)]).sign(ping.as_bytes()).unwrap();
        let request = Request::post(test_server.url("/api/github/webhook"))
            .raw_json(ping.clone())
            .header("x-github-event", "ping")
            .header("x-github-delivery", id)
            .header("x-hub-signature-256", signature);
        test_server.send(request).await.status
    };
    assert_eq!(deliver(secret, "1").await, 200);
    assert_eq!(deliver("another secret", "2").await, 401);
    assert_eq!(
        test_server.submit(&admin, "/welcome/secret/new", &[]).await.status,
        409,
        "it is not replaced by accident"
    );
    assert_eq!(deliver(secret, "3").await, 200);
    test_server.finish().await;
}

/// Begins the registration of an App in a browser; returns the page, its policy, the state and the cookie.
async fn begin(test_server: &TestServer, admin: &Caller) -> (String, String, String, Caller) {
    let form = test_server.page(admin, "/welcome/app?organization=acme").await;
    assert_eq!(form.status, 200, "{}", form.text());
    let text = form.text();
    let state = text.split("?state=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let nonce = form.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let browser = Caller { cookie: Some(format!("{}; {nonce}", admin.cookie.as_ref().unwrap())), ..admin.clone() };
    (text, form.header("content-security-policy").unwrap().to_owned(), state, browser)
}

fn private_key() -> String {
    let key = std::process::Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().unwrap();
    String::from_utf8(key.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_app_is_registered_by_its_manifest_and_used_without_a_restart() {
    let (test_server, admin) = unconfigured().await;
    let (text, policy, state, browser) = begin(&test_server, &admin).await;
    let origin = test_server.git.url();
    let origin = origin.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    assert!(policy.contains(&format!("form-action 'self' {origin};")), "{policy}");
    assert!(
        text.contains("/organizations/acme/settings/apps/new?state=") && text.contains("no public address"),
        "{text}"
    );
    test_server.github.register_app("the-code", &private_key(), "whsec-canary-0123456789");
    let done = |code: &str, state: &str| format!("/welcome/app/done?code={code}&state={state}");
    assert_eq!(test_server.page(&browser, &done("the-code", "made-up")).await.status, 403);
    assert_eq!(test_server.page(&admin, &done("the-code", &state)).await.status, 403, "another browser has no cookie");
    assert_eq!(test_server.page(&browser, &done("another-code", &state)).await.status, 404);
    let page = test_server.page(&browser, &done("the-code", &state)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("https://github.com/apps/patchwright-acme/installations/new"), "{}", page.text());
    assert!(page.header("set-cookie").unwrap().contains("Max-Age=0"), "it is good once");
    assert_eq!(test_server.setting(&admin, "GITHUB_APP_ID").await["value"], "4711");
    assert_eq!(test_server.setting(&admin, "GITHUB_APP_LOGIN").await["value"], "patchwright-acme[bot]");
    for secret in ["GITHUB_APP_PRIVATE_KEY", "WEBHOOK_SECRET"] {
        assert_eq!(test_server.setting(&admin, secret).await["value"], "[redacted]");
    }
    assert!(test_server.app().management.platforms()[0].is_configured());
    assert!(test_server.page(&admin, "/welcome").await.text().contains("Disconnect the App"));
    test_server.submit(&admin, "/welcome/app/disconnect", &[]).await;
    assert_eq!(test_server.setting(&admin, "GITHUB_APP_ID").await["source"], "default");
    assert!(!test_server.app().management.platforms()[0].is_configured());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_that_the_environment_fixes_is_given_to_the_new_app() {
    let unset = ["GITHUB_TOKEN", "GITCODE_TOKEN"];
    let test_server = TestServer::start_with(good_answers(), &unset.map(|name| (name, ""))).await;
    test_server.add_user(&Caller::default(), "root", "admin").await;
    let admin = test_server.session("root").await;
    let (_, _, state, browser) = begin(&test_server, &admin).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, private_key()).unwrap();
    let public = std::process::Command::new("openssl")
        .args(["rsa", "-in", file.to_str().unwrap(), "-RSAPublicKey_out", "-outform", "DER"])
        .output()
        .unwrap();
    test_server.github.install_app("4711", public.stdout, "2030-01-01T00:00:00Z");
    test_server.github.register_app("the-code", &std::fs::read_to_string(&file).unwrap(), "whsec-of-the-app-0123");
    let page = test_server.page(&browser, &format!("/welcome/app/done?code=the-code&state={state}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(test_server.github.hook_secret().as_deref(), Some(SECRET));
    assert_eq!(test_server.setting(&admin, "WEBHOOK_SECRET").await["source"], "environment");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_could_not_be_used_is_not_registered() {
    let (mut test_server, admin) = unconfigured().await;
    test_server.restart_with(&[("PUSH_TO", "fork")]).await;
    let refused = test_server.page(&admin, "/welcome/app").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("PUSH_TO"), "{}", refused.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_leads_to_a_merged_pull_request_without_a_model_and_says_that_it_is_one() {
    let (test_server, admin) = unconfigured().await;
    let issue = test_server.submit(&admin, "/welcome/demo", &[]).await;
    assert!(issue.text().contains("Splitting a bill loses cents"), "{}", issue.text());
    let issues = test_server.get_json(&admin, "/api/v1/issues").await;
    let issue = issues["items"][0]["id"].as_str().unwrap().to_owned();
    test_server.submit(&admin, &format!("/issues/{issue}/start"), &[]).await;
    test_server.run_until_idle().await;
    let page = test_server.page(&admin, &format!("/issues/{issue}")).await.text();
    assert!(page.contains("Demo: the model’s answers are a recording"), "{page}");
    let merge = async |issue: &str| {
        let merged = test_server.submit(&admin, &format!("/issues/{issue}/merge"), &[("on_forge", "true")]).await;
        assert_eq!(merged.status, 200, "{}", merged.text());
        let found = test_server.get_json(&admin, &format!("/api/v1/issues/{issue}")).await;
        assert_eq!(found["status"], "merged", "{found:#}");
    };
    merge(&issue).await;
    // It can be tried again, from the fault on.
    let again = test_server.submit(&admin, "/welcome/demo", &[]).await;
    assert!(again.text().contains("Splitting a bill loses cents"), "{}", again.text());
    let issues = test_server.get_json(&admin, "/api/v1/issues").await;
    let second = issues["items"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(second, issue);
    test_server.submit(&admin, &format!("/issues/{second}/start"), &[]).await;
    test_server.run_until_idle().await;
    merge(&second).await;
    test_server.finish().await;
}
