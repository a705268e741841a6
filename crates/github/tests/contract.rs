//! The GitHub adapter keeps the contract, against a server that is as strict as GitHub.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

use patchwright_core::Secret;
use patchwright_core::forge::{Forge as _, ForgeError, Permission, Tracker as _};
use patchwright_domain::{BranchName, IssueNumber, IssueRef};
use patchwright_github::{GITHUB, GithubForge, GithubOptions};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_testkit::contract;
use patchwright_testkit::server::{GitServer, GithubServer, TOKEN};

fn forge(server: &GithubServer, token: Option<&str>) -> GithubForge {
    patchwright_http::install_tls();
    let options = GithubOptions {
        api_url: server.url(),
        graphql_url: format!("{}/graphql", server.url()),
        clone_url: "https://github.example".into(),
        token: token.map(Secret::new),
    };
    GithubForge::new(HttpClient::new(&HttpOptions::default()).unwrap(), options)
}

fn issue() -> IssueRef {
    IssueRef { platform: GITHUB, repo: "acme/demo".parse().unwrap(), number: IssueNumber::same(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_keeps_the_contract() {
    let git = GitServer::start();
    git.make("acme/demo", &[("README.md", "hello\n")]);
    let tree = git.git("acme/demo", &["rev-parse", "main^{tree}"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@t"];
    let commit = git.git("acme/demo", &[&who[..], &["commit-tree", "-p", "main", "-m", "more", &tree]].concat());
    git.git("acme/demo", &["update-ref", "refs/heads/agent/fix-1", &commit]);
    let server = GithubServer::start(git.path("x").parent().unwrap().to_owned());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let branch = BranchName::parse("agent/fix-1").unwrap();
    let forge = forge(&server, Some(TOKEN));
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: issue(), branch }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_beyond_the_first_page_are_found() {
    let server = GithubServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let forge = forge(&server, Some(TOKEN));
    for n in 0..120 {
        forge.post_comment(&issue(), &format!("comment {n}")).await.unwrap();
    }
    let comments = forge.comments(&issue()).await.unwrap();
    assert_eq!((comments.len(), comments[119].body.as_str()), (120, "comment 119"));
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_and_refusals_are_told_apart() {
    let server = GithubServer::start("/nowhere".into());
    server.permit("alice", "write");
    let repo = issue().repo;
    let with_token = forge(&server, Some(TOKEN));
    assert_eq!(with_token.permission(&repo, "alice").await.unwrap(), Permission::Write);
    assert_eq!(with_token.permission(&repo, "mallory").await.unwrap(), Permission::None);
    assert_eq!(with_token.permission(&repo, "../../user").await.unwrap(), Permission::None);
    let error = forge(&server, Some("ghp_wrong")).repository(&repo).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unauthorized { .. }), "{error}");
    assert_eq!(error.to_string(), "github refused the credentials (Bad credentials); set a valid token");
}
