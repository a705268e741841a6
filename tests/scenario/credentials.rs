//! Credentials: they are write-only, and are used for their scope.

use patchwright_domain::JobStatus;
use patchwright_http::{Request, Response};
use patchwright_testkit::server::TOKEN;
use serde_json::{Value, json};

use crate::harness::{REPO, TestServer, good_answers};

async fn post(test_server: &TestServer, path: &str, body: &Value) -> Response {
    test_server.send(Request::post(test_server.url(path)).json(body)).await
}

async fn json_of(test_server: &TestServer, path: &str) -> Value {
    test_server.get(path).await.json().unwrap()
}

fn credential(name: &str, scope: &str, secret: &str) -> Value {
    json!({"name": name, "platform": "github", "scope": scope, "secret": secret})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_narrowest_credential_opens_a_repository_and_no_secret_comes_out_again() {
    // The configuration has a token without any access.
    let test_server =
        TestServer::start_with(good_answers(), &[("GITHUB_TOKEN", "ghp_useless0000000000000000000000")]).await;
    let refused =
        post(&test_server, "/api/v1/credentials", &credential("wrong", "*", "ghp_wrong00000000000000000")).await;
    assert_eq!(refused.status, 409, "the forge is asked first: {}", refused.text());
    let unknown = json!({"platform": "github", "name": REPO});
    assert_eq!(post(&test_server, "/api/v1/repositories", &unknown).await.status, 502);

    let added = post(&test_server, "/api/v1/credentials", &credential("acme's", "Acme", TOKEN)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let added: Value = added.json().unwrap();
    assert_eq!((&added["login"], &added["scope"]), (&"patchwright-bot".into(), &"acme".into()), "{added}");
    let again = post(&test_server, "/api/v1/credentials", &credential("twice", "acme", TOKEN)).await;
    assert_eq!(again.status, 409);
    // An expired one is skipped, regardless of its scope.
    let mut ended = credential("ended", REPO, TOKEN);
    ended["expires_at"] = "2020-01-01T00:00:00Z".into();
    let ended: Value = post(&test_server, "/api/v1/credentials", &ended).await.json().unwrap();
    assert_eq!(ended["expires_soon"], true);
    assert_eq!(ended["fingerprint"], added["fingerprint"], "the same secret is known again");

    let repository: Value = post(&test_server, "/api/v1/repositories", &unknown).await.json().unwrap();
    post(&test_server, &format!("/api/v1/repositories/{}/sync", repository["id"].as_str().unwrap()), &json!({})).await;
    let issues = json_of(&test_server, "/api/v1/issues").await;
    let issue = issues["items"][0]["id"].as_str().unwrap();
    let task: Value = post(&test_server, &format!("/api/v1/issues/{issue}/start"), &json!({})).await.json().unwrap();
    let job = test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    test_server.expect_comments(0).await;

    let all = json_of(&test_server, "/api/v1/credentials").await;
    assert!(all["items"][0]["last_used_at"].is_string() && all["items"][1]["last_used_at"].is_null(), "{all:#}");
    let audit = json_of(&test_server, "/api/v1/audit").await;
    let uses: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "credential.used" && entry["subject"] == added["id"])
        .map(|entry| entry["detail"].as_str().unwrap())
        .collect();
    assert!(uses.contains(&"github:acme/demo for git") && uses.contains(&"github:acme/demo for calls"), "{uses:?}");
    for path in ["/api/v1/credentials", "/api/v1/audit", "/api/v1/jobs", "/api/v1/tasks"] {
        assert!(!test_server.get(path).await.text().contains(TOKEN), "{path}");
    }
    assert!(!test_server.data_on_disk().contains(TOKEN), "on the disk it is sealed");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_credential_opens_nothing_from_then_on() {
    let test_server = TestServer::start_with(vec![], &[("GITHUB_TOKEN", "ghp_useless0000000000000000000000")]).await;
    let added: Value = post(&test_server, "/api/v1/credentials", &credential("all", "*", TOKEN)).await.json().unwrap();
    let repository = json!({"platform": "github", "name": REPO});
    let repository: Value = post(&test_server, "/api/v1/repositories", &repository).await.json().unwrap();
    let sync = format!("/api/v1/repositories/{}/sync", repository["id"].as_str().unwrap());
    assert_eq!(post(&test_server, &sync, &json!({})).await.status, 200);
    let url = test_server.url(&format!("/api/v1/credentials/{}", added["id"].as_str().unwrap()));
    let renamed = test_server.send(Request::patch(url.clone()).json(&json!({"name": "everything"}))).await;
    assert_eq!(renamed.json::<Value>().unwrap()["name"], "everything");
    assert_eq!(test_server.send(Request::delete(url)).await.status, 204);
    assert_eq!(post(&test_server, &sync, &json!({})).await.status, 502);
    test_server.finish().await;
}
