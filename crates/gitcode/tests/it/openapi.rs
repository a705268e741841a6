//! Every request of the adapter is validated against GitCode's OpenAPI document, by Prism as a proxy.

use std::sync::Arc;

use patchwright_core::forge::Forge as _;
use patchwright_domain::RepoPath;
use patchwright_gitcode::TokenForm;
use patchwright_testkit::server::{GITCODE_TOKEN, Prism};
use patchwright_testkit::{contract, fetched};

use super::contract::{forge_at, issue, repository, tip};

/// The operations that the adapter calls.
const CALLS: &[(&str, &[&str])] = &[
    ("/api/v5/user", &["get"]),
    ("/api/v5/repos/{owner}/{repo}", &["get"]),
    ("/api/v5/repos/{owner}/issues", &["post"]),
    ("/api/v5/repos/{owner}/{repo}/issues", &["get"]),
    ("/api/v5/repos/{owner}/{repo}/issues/{number}", &["get"]),
    ("/api/v5/repos/{owner}/{repo}/issues/{number}/comments", &["get", "post"]),
    ("/api/v5/repos/{owner}/{repo}/issues/comments/{id}", &["patch"]),
    ("/api/v5/repos/{owner}/{repo}/collaborators/{username}/permission", &["get"]),
    ("/api/v5/repos/{owner}/{repo}/contents/{path}", &["get"]),
    ("/api/v5/repos/{owner}/{repo}/pulls", &["get", "post"]),
    ("/api/v5/repos/{owner}/{repo}/pulls/{number}", &["get", "patch"]),
    ("/api/v5/repos/{owner}/{repo}/pulls/{number}/comments", &["get", "post"]),
    ("/api/v5/repos/{owner}/{repo}/pulls/{number}/merge", &["put"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_conforms_to_gitcodes_description() {
    let (Some(npm), Some(document)) = (fetched("GITHUB_OPENAPI_NPM"), fetched("GITCODE_OPENAPI")) else { return };
    let (git, server, branch) = repository();
    server.permit("alice", "admin");
    let prism = Prism::start(&npm, &document, CALLS, server.url().trim_end_matches("/api/v5"));
    let forge = forge_at(format!("{}/api/v5", prism.url()), Arc::default(), GITCODE_TOKEN, TokenForm::Bearer);
    let head = tip(&git, &branch);
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: issue(), branch, head }).await;
    forge.permission(&issue().repo, "alice").await.unwrap();
    forge.read_file(&issue().repo, &RepoPath::parse("README.md").unwrap(), "main").await.unwrap();
    let (wrong, requests) = prism.verdict();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(requests > 20, "only {requests} requests went through Prism");
}
