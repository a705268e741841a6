//! Every request of the adapter is validated against GitHub's OpenAPI document, by Prism as a proxy before the fake server.

use patchwright_core::forge::Forge as _;
use patchwright_domain::RepoPath;
use patchwright_github::{AppKey, Hook};
use patchwright_testkit::contract;
use patchwright_testkit::fetched;
use patchwright_testkit::server::{GithubServer, Prism, TOKEN};

use super::contract::{fresh_key, in_minutes, issue, repository, set_up_at, tip, write_everything};

/// The operations that the adapter calls.
const CALLS: &[(&str, &[&str])] = &[
    ("/app", &["get"]),
    ("/app/installations/{installation_id}/access_tokens", &["post"]),
    ("/app/hook/deliveries", &["get"]),
    ("/app/hook/deliveries/{delivery_id}/attempts", &["post"]),
    ("/user", &["get"]),
    ("/repos/{owner}/{repo}", &["get"]),
    ("/repos/{owner}/{repo}/installation", &["get"]),
    ("/repos/{owner}/{repo}/hooks/{hook_id}/deliveries", &["get"]),
    ("/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts", &["post"]),
    ("/repos/{owner}/{repo}/issues", &["get", "post"]),
    ("/repos/{owner}/{repo}/issues/{issue_number}", &["get"]),
    ("/repos/{owner}/{repo}/issues/{issue_number}/comments", &["get", "post"]),
    ("/repos/{owner}/{repo}/issues/{issue_number}/reactions", &["post"]),
    ("/repos/{owner}/{repo}/issues/{issue_number}/labels", &["post"]),
    ("/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}", &["delete"]),
    ("/repos/{owner}/{repo}/issues/comments", &["get"]),
    ("/repos/{owner}/{repo}/issues/comments/{comment_id}", &["patch"]),
    ("/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", &["post"]),
    ("/users/{username}", &["get"]),
    ("/repos/{owner}/{repo}/collaborators/{username}/permission", &["get"]),
    ("/repos/{owner}/{repo}/pulls", &["get", "post"]),
    ("/repos/{owner}/{repo}/pulls/{pull_number}", &["get", "patch"]),
    ("/repos/{owner}/{repo}/pulls/{pull_number}/merge", &["put"]),
    ("/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", &["post"]),
    ("/repos/{owner}/{repo}/check-runs", &["post"]),
    ("/repos/{owner}/{repo}/check-runs/{check_run_id}", &["get", "patch"]),
    ("/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations", &["get"]),
    ("/repos/{owner}/{repo}/commits/{ref}/check-runs", &["get"]),
    ("/repos/{owner}/{repo}/commits/{ref}/status", &["get"]),
    ("/repos/{owner}/{repo}/contents/{path}", &["get", "put"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_conforms_to_githubs_description() {
    let Some(npm) = fetched("GITHUB_OPENAPI_NPM") else { return };
    let (git, server, branch) = repository();
    server.permit("alice", "write");
    let prism = Prism::start(
        &npm,
        &npm.join("node_modules/@octokit/openapi/generated/api.github.com.json"),
        CALLS,
        &server.url(),
    );

    let forge = set_up_at(prism.url(), &server, None, Some(TOKEN)).forge;
    let head = tip(&git, &branch);
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: issue(), branch, head }).await;
    write_everything(&forge, &server).await;
    forge.permission(&issue().repo, "alice").await.unwrap();
    forge.commit_address(&issue().repo, "alice").await.unwrap();
    server.set_ci("main", &[("test", "completed", Some("failure"))], &[("ci", "success")]);
    let checks = forge.ci_checks(&issue().repo, "main").await.unwrap().unwrap();
    forge.ci_output(&issue().repo, &checks[0]).await.unwrap();
    let path = RepoPath::parse("docs/a b.md").unwrap();
    forge.read_file(&issue().repo, &path, "main").await.unwrap();
    forge.comments_since(&issue().repo, "2026-11-22T10:00:00Z".parse().unwrap(), "@x").await.unwrap();
    log_a_failure(&server);
    let hook = Hook::Repository { repo: issue().repo, id: 77 };
    assert_eq!(forge.redeliver(&hook, "2026-11-22T10:00:00Z".parse().unwrap()).await.unwrap(), 1);

    let (pem, public) = fresh_key(false);
    server.install_app("4711", public, &in_minutes(60));
    let app = set_up_at(prism.url(), &server, Some(AppKey::from_pem("4711", &pem).unwrap()), None).forge;
    app.own_login().await.unwrap();
    app.git_credential(&issue().repo).await.unwrap();
    log_a_failure(&server);
    assert_eq!(app.redeliver(&Hook::App, "2026-11-22T10:00:00Z".parse().unwrap()).await.unwrap(), 1);

    let (wrong, requests) = prism.verdict();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(requests > 40, "only {requests} requests went through Prism");
}

fn log_a_failure(server: &GithubServer) {
    server.log_deliveries(&[(9, "d", "2026-11-22T10:09:00Z", 502)]);
}
