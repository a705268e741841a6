//! The GitCode adapter against the contract of the forge port and a fake GitCode.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::forge::{Forge as _, ForgeError, Permission, Tracker as _};
use patchwright_core::outgoing_text::neutralise;
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, RepoPath};
use patchwright_gitcode::{GITCODE, GitcodeForge, GitcodeOptions, TokenForm};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_testkit::contract;
use patchwright_testkit::fake::FakeClock;
use patchwright_testkit::server::{GITCODE_TOKEN, GitServer, GitcodeServer};

fn forge_with(server: &GitcodeServer, clock: Arc<FakeClock>, token: &str, token_form: TokenForm) -> GitcodeForge {
    forge_at(server.url(), clock, token, token_form)
}

pub(crate) fn forge_at(api_url: String, clock: Arc<FakeClock>, token: &str, token_form: TokenForm) -> GitcodeForge {
    patchwright_http::install_tls();
    let options = GitcodeOptions {
        api_url,
        clone_url: "https://gitcode.example".into(),
        token: Some(Secret::new(token)),
        token_form,
    };
    GitcodeForge::new(HttpClient::new(&HttpOptions::default()).unwrap(), clock, options)
}

fn forge(server: &GitcodeServer) -> GitcodeForge {
    forge_with(server, Arc::default(), GITCODE_TOKEN, TokenForm::Bearer)
}

pub(crate) fn issue() -> IssueRef {
    IssueRef::on_forge(GITCODE, "acme/demo".parse().unwrap(), IssueNumber::same(1))
}

/// Creates a repository with the branch that the contract suite needs, and starts a server for it.
pub(crate) fn repository() -> (GitServer, GitcodeServer, BranchName) {
    let git = GitServer::start();
    git.make("acme/demo", &[("README.md", "hello\n")]);
    git.git("acme/demo", &["update-ref", "refs/heads/agent/fix-1", "main"]);
    let server = GitcodeServer::start(git.path("x").parent().unwrap().to_owned());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    (git, server, BranchName::parse("agent/fix-1").unwrap())
}

/// Returns the commit of a branch.
pub(crate) fn tip(git: &GitServer, branch: &BranchName) -> CommitSha {
    CommitSha::parse(git.git("acme/demo", &["rev-parse", branch.as_str()]).trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gitcode_keeps_the_contract() {
    let (git, server, branch) = repository();
    let forge = forge(&server);
    let head = tip(&git, &branch);
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: issue(), branch, head }).await;
    let repository = forge.repository(&issue().repo).await.unwrap();
    assert_eq!(repository.clone_url, "https://gitcode.example/acme/demo.git", "not from the response");
    assert_eq!(forge.issue_url(&issue()), "https://gitcode.example/acme/demo/issues/1");
    let credential = forge.git_credential(&issue().repo).await.unwrap().unwrap();
    assert_eq!((credential.username.as_str(), credential.password.expose()), ("oauth2", GITCODE_TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_beyond_the_first_page_are_found() {
    let server = GitcodeServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let forge = forge(&server);
    for n in 0..120 {
        forge.post_comment(&issue(), &neutralise(&format!("comment {n}"))).await.unwrap();
    }
    let comments = forge.comments(&issue()).await.unwrap();
    assert_eq!((comments.len(), comments[119].body.as_str()), (120, "comment 119"));
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_files_and_refusals_are_distinguished() {
    let server = GitcodeServer::start("/nowhere".into());
    server.permit("alice", "admin");
    server.permit("bob", "developer");
    server.permit("carol", "reporter");
    let (forge, repo) = (forge(&server), issue().repo);
    for (login, expected) in [
        ("alice", Permission::Admin),
        ("bob", Permission::Write),
        ("carol", Permission::Read),
        ("mallory", Permission::None),
        ("../../user", Permission::None),
        ("..", Permission::None),
    ] {
        assert_eq!(forge.permission(&repo, login).await.unwrap(), expected, "{login}");
    }
    let path = |text: &str| RepoPath::parse(text).unwrap();
    assert_eq!(forge.read_file(&repo, &path("README.md"), "main").await.unwrap().as_deref(), Some("hello\n"));
    assert_eq!(forge.read_file(&repo, &path("absent.md"), "main").await.unwrap(), None);
    let wrong = forge_with(&server, Arc::default(), "wrong", TokenForm::Bearer);
    let error = wrong.own_login().await.unwrap_err();
    assert_eq!(error.to_string(), "gitcode refused the credentials (401 Unauthorized); set a valid token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_sent_in_the_configured_header() {
    let server = GitcodeServer::start("/nowhere".into());
    server.take_private_token_only();
    assert!(matches!(forge(&server).own_login().await, Err(ForgeError::Unauthorized { .. })));
    let private = forge_with(&server, Arc::default(), GITCODE_TOKEN, TokenForm::PrivateToken);
    assert_eq!(private.own_login().await.unwrap(), "patchwright-bot");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_sent_while_a_rate_limit_lasts() {
    let server = GitcodeServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    server.slow_down(1);
    let clock = Arc::new(FakeClock::default());
    let forge = forge_with(&server, clock.clone(), GITCODE_TOKEN, TokenForm::Bearer);
    for _ in 0..3 {
        let error = forge.issue(&issue()).await.unwrap_err();
        assert!(matches!(error, ForgeError::RateLimited { after: Some(_), .. }), "{error:?}");
    }
    assert_eq!(server.requests().len(), 1);
    clock.advance(60);
    assert_eq!(forge.issue(&issue()).await.unwrap().labels, ["bug"]);
}
