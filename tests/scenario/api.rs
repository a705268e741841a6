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
    let run = |seed: &'static str| {
        let mut command = Command::new(&program);
        command
            .arg("run")
            .arg(test_server.url("/api/openapi.json"))
            .args(["-H", &format!("Authorization: Bearer {TOKEN}"), "--checks", "all", "--max-examples", "15"])
            .args([
                "--seed",
                seed,
                "--exclude-path-regex",
                "(/events|/ws)$",
                "--workers",
                "2",
                "--no-color",
                "--suppress-health-check",
                "all",
            ]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    // The program ends with an error of its own at some texts that it has made up and that an answer repeats (`//[`): nothing is
    // known about the API then.
    let mut seeds = ["1", "2", "3"].into_iter();
    let (output, printed) = loop {
        let output = run(seeds.next().expect("one of three runs ends with a result")).await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !printed.contains("An internal error occurred during the test run") {
            break (output, printed);
        }
    };
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains(" passed"), "{printed}");
    test_server.abandon().await;
}
