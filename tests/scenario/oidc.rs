//! Login at a real provider, by a user with a browser.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use patchwright_core::Secret;
use patchwright_http::Request;
use patchwright_testkit::fetched;
use serde_json::{Value, json};

use crate::harness::TestServer;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc");
const TOKEN: &str = "operators-token-0123456789";

struct Provider {
    process: Child,
    issuer: String,
    /// If this pipe were closed, the process that writes to it would fail.
    _printed: BufReader<ChildStdout>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server and a provider; returns `None` if the provider is not installed.
async fn beside_a_provider() -> Option<(TestServer, Provider)> {
    let npm = fetched("GITHUB_OPENAPI_NPM").filter(|npm| npm.join("node_modules/oidc-provider").is_dir())?;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut process = Command::new("node")
        .arg(format!("{FOLDER}/provider.mjs"))
        .arg(&npm)
        .arg(format!("http://{port}/api/v1/auth/oidc/callback"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(process.stdout.take().unwrap());
    let mut issuer = String::new();
    printed.read_line(&mut issuer).unwrap();
    let issuer = issuer.trim().to_owned();
    let settings = [
        ("BIND", port.to_string()),
        ("API_TOKEN", TOKEN.to_owned()),
        ("OIDC_ISSUER", issuer.clone()),
        ("OIDC_CLIENT_ID", "patchwright".to_owned()),
        ("OIDC_CLIENT_SECRET", "a secret: with % and +".to_owned()),
        ("OIDC_ADMIN_GROUP", "patchwright-admins".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let test_server = TestServer::start_with(vec![], &settings).await;
    Some((test_server, Provider { process, issuer, _printed: printed }))
}

async fn browse(args: Vec<String>) -> Value {
    let run = move || Command::new("python3").arg(format!("{FOLDER}/browser.py")).args(args).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Provider {
    async fn log_in(&self, test_server: &TestServer, login: &str) -> Value {
        browse(vec![test_server.url("/api/v1/auth/oidc/start?return_to=/api/status"), login.to_owned()]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_through_the_provider_and_stay_the_same_people() {
    let Some((test_server, provider)) = beside_a_provider().await else { return };
    let first = provider.log_in(&test_server, "alice").await;
    assert_eq!(
        (&first["status"], &first["me"]["login"], &first["me"]["role"]),
        (&200.into(), &"alice".into(), &"member".into()),
        "{first}"
    );
    assert!(first["ended"].as_str().unwrap().ends_with("/api/status"), "{first}");
    assert_eq!(first["cookies"]["patchwright_session"], true, "no script reads it");
    assert_eq!(first["cookies"]["patchwright_login"], Value::Null, "it is used up");
    let second = provider.log_in(&test_server, "alice").await;
    assert_eq!(second["me"]["id"], first["me"]["id"]);
    // Another user with the same name at the provider is a different user.
    let twin = provider.log_in(&test_server, "alice-twin").await;
    assert_eq!(twin["me"]["login"], "alice-2");
    assert_eq!(provider.log_in(&test_server, "root").await["me"]["role"], "admin");
    // A user who is deactivated here cannot log in through the provider.
    let url = test_server.url(&format!("/api/v1/users/{}", first["me"]["id"].as_str().unwrap()));
    let operator = Secret::new(TOKEN);
    let shut = test_server.send(Request::patch(url).bearer(&operator).json(&json!({"active": false}))).await;
    assert_eq!(shut.status, 200, "{}", shut.text());
    assert_eq!(provider.log_in(&test_server, "alice").await["status"], 401);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_gone_once_and_by_the_browser_that_began() {
    let Some((test_server, provider)) = beside_a_provider().await else { return };
    assert!(provider.issuer.starts_with("http://127.0.0.1"));
    let start = test_server.url("/api/v1/auth/oidc/start");
    let again = browse(vec!["--again".to_owned(), start, "alice".to_owned()]).await;
    assert_eq!((&again["status"], &again["body"]["code"]), (&400.into(), &"no_login".into()), "{again}");
    let path = "/api/v1/auth/oidc/callback?code=stolen&state=guessed";
    let elsewhere = test_server.get(path).await;
    assert_eq!(elsewhere.status, 400, "another browser has no login on its way: {}", elsewhere.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_no_such_login() {
    let test_server = TestServer::start(vec![]).await;
    for path in ["/api/v1/auth/oidc/start", "/api/v1/auth/oidc/callback?code=x&state=y"] {
        assert_eq!(test_server.get(path).await.status, 404);
    }
    test_server.finish().await;
}
