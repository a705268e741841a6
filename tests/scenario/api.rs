//! The API conforms to its description: schemathesis generates valid and invalid requests from it and checks the
//! responses.

use std::process::Command;

use patchwright_core::Secret;
use patchwright_http::Request;
use serde_json::{Value, json};

use crate::harness::TestServer;

const TOKEN: &str = "api-token-0123456789-schemathesis";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_it_is_described() {
    let Some(program) = patchwright_testkit::fetched("SCHEMATHESIS") else { return };
    let test_server = TestServer::start_with(vec![], &[("API_TOKEN", TOKEN), ("WORKERS", "0")]).await;
    let post = async |path: &str, body: Value| {
        let request = Request::post(test_server.url(path)).bearer(&Secret::new(TOKEN)).json(&body);
        let answer = test_server.send(request).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<Value>().unwrap()
    };
    // Records for the requests to find.
    let repository = post("/api/v1/repositories", json!({"platform": "github", "name": "acme/demo"})).await;
    post("/api/v1/issues", json!({"repository_id": repository["id"], "title": "a bug"})).await;
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(test_server.url("/api/openapi.json"))
        .args(["-H", &format!("Authorization: Bearer {TOKEN}"), "--checks", "all", "--max-examples", "15"])
        .args([
            "--seed",
            "1",
            "--exclude-path-regex",
            "(/events|/ws)$",
            "--workers",
            "2",
            "--no-color",
            "--suppress-health-check",
            "all",
        ]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains(" passed"), "{printed}");
    test_server.abandon().await;
}
