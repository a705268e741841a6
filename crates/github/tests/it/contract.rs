//! The GitHub adapter against the contract of the forge port and a fake GitHub.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::clock::Clock as _;
use patchwright_core::forge::{Forge as _, ForgeError, Permission, Tracker as _};
use patchwright_core::outgoing_text::{OutgoingText, neutralise};
use patchwright_core::webhook::InboundEvent;
use patchwright_domain::job::ci::CiOutcome;
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, RepoPath};
use patchwright_github::{AppKey, CheckState, Conclusion, GITHUB, GithubForge, GithubOptions, Hook, Reaction};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_testkit::contract;
use patchwright_testkit::fake::FakeClock;
use patchwright_testkit::server::{GitServer, GithubServer, TOKEN};
use serde_json::json;

pub(crate) struct Setup {
    pub(crate) forge: GithubForge,
    clock: Arc<FakeClock>,
}

fn set_up(server: &GithubServer, app: Option<AppKey>, token: Option<&str>) -> Setup {
    set_up_at(&server.url(), server, app, token)
}

/// Creates the adapter with its REST API at another address than the server's own.
pub(crate) fn set_up_at(api_url: &str, server: &GithubServer, app: Option<AppKey>, token: Option<&str>) -> Setup {
    patchwright_http::install_tls();
    let options = GithubOptions {
        api_url: api_url.to_owned(),
        graphql_url: format!("{}/graphql", server.url()),
        clone_url: "https://github.example".into(),
        app,
        token: token.map(Secret::new),
    };
    let clock = Arc::new(FakeClock::default());
    let forge = GithubForge::new(HttpClient::new(&HttpOptions::default()).unwrap(), clock.clone(), options);
    Setup { forge, clock }
}

fn forge(server: &GithubServer, token: Option<&str>) -> GithubForge {
    set_up(server, None, token).forge
}

pub(crate) fn issue() -> IssueRef {
    IssueRef::on_forge(GITHUB, "acme/demo".parse().unwrap(), IssueNumber::same(1))
}

/// Creates a key as GitHub issues it, with OpenSSL, in one of the two PEM forms; and its public half.
pub(crate) fn fresh_key(traditional: bool) -> (Secret, Vec<u8>) {
    let openssl = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let path = file.to_str().unwrap();
    let form: &[&str] = if traditional { &["genrsa", "-traditional"] } else { &["genrsa"] };
    std::fs::write(&file, openssl(&[form, &["2048"]].concat())).unwrap();
    let public = openssl(&["rsa", "-in", path, "-RSAPublicKey_out", "-outform", "DER"]);
    (Secret::new(std::fs::read_to_string(&file).unwrap()), public)
}

/// Starts a server that knows the App, whose tokens expire at `expires_at`.
fn server_with_app(expires_at: &str) -> (GithubServer, AppKey) {
    let server = GithubServer::start("/nowhere".into());
    let (pem, public) = fresh_key(true);
    server.install_app("4711", public, expires_at);
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    (server, AppKey::from_pem("4711", &pem).unwrap())
}

/// Returns the fake clock's start plus some minutes.
pub(crate) fn in_minutes(minutes: i64) -> String {
    (FakeClock::default().now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

/// Creates a repository with the branch that the contract suite needs, and starts a server for it.
pub(crate) fn repository() -> (GitServer, GithubServer, BranchName) {
    let git = GitServer::start();
    git.make("acme/demo", &[("README.md", "hello\n")]);
    let tree = git.git("acme/demo", &["rev-parse", "main^{tree}"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@t"];
    let commit = git.git("acme/demo", &[&who[..], &["commit-tree", "-p", "main", "-m", "more", &tree]].concat());
    git.git("acme/demo", &["update-ref", "refs/heads/agent/fix-1", &commit]);
    let server = GithubServer::start(git.path("x").parent().unwrap().to_owned());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    (git, server, BranchName::parse("agent/fix-1").unwrap())
}

/// Returns the commit of a branch.
pub(crate) fn tip(git: &GitServer, branch: &BranchName) -> CommitSha {
    CommitSha::parse(git.git("acme/demo", &["rev-parse", branch.as_str()]).trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn github_keeps_the_contract() {
    let (git, server, branch) = repository();
    let forge = forge(&server, Some(TOKEN));
    let head = tip(&git, &branch);
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: issue(), branch, head }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_beyond_the_first_page_are_found() {
    let server = GithubServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let forge = forge(&server, Some(TOKEN));
    for n in 0..120 {
        forge.post_comment(&issue(), &neutralise(&format!("comment {n}"))).await.unwrap();
    }
    let comments = forge.comments(&issue()).await.unwrap();
    assert_eq!((comments.len(), comments[119].body.as_str()), (120, "comment 119"));
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_and_refusals_are_distinguished() {
    let server = GithubServer::start("/nowhere".into());
    server.permit("alice", "write");
    let repo = issue().repo;
    let with_token = forge(&server, Some(TOKEN));
    assert_eq!(with_token.permission(&repo, "alice").await.unwrap(), Permission::Write);
    assert_eq!(with_token.permission(&repo, "mallory").await.unwrap(), Permission::None);
    assert_eq!(with_token.permission(&repo, "../../user").await.unwrap(), Permission::None);
    server.permit("xbot", "write");
    assert_eq!(with_token.permission(&repo, "x[bot]").await.unwrap(), Permission::None, "a bot is another account");
    let address = with_token.commit_address(&repo, "alice").await.unwrap();
    assert_eq!(address.as_deref(), Some("583231+alice@users.noreply.github.example"));
    assert_eq!(with_token.commit_address(&repo, "mallory").await.unwrap(), None);
    let error = forge(&server, Some("ghp_wrong")).repository(&repo).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unauthorized { .. }), "{error}");
    assert_eq!(error.to_string(), "github refused the credentials (Bad credentials); set a valid token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_token_is_used_until_five_minutes_before_its_end() {
    let (server, app) = server_with_app(&in_minutes(60));
    let Setup { forge, clock } = set_up(&server, Some(app), None);
    let forge = Arc::new(forge);
    // Concurrent calls fetch one token.
    let many: Vec<_> = (0..20)
        .map(|_| {
            let forge = Arc::clone(&forge);
            tokio::spawn(async move { forge.issue(&issue()).await.unwrap() })
        })
        .collect();
    for one in many {
        one.await.unwrap();
    }
    assert_eq!(server.installation_tokens(), 1);
    assert_eq!(forge.own_login().await.unwrap(), "patchwright-app[bot]");
    clock.advance(54 * 60);
    forge.issue(&issue()).await.unwrap();
    assert_eq!(server.installation_tokens(), 1);
    clock.advance(60);
    let credential = forge.git_credential(&issue().repo).await.unwrap().unwrap();
    assert_eq!(server.installation_tokens(), 2);
    assert_eq!(credential.username, "x-access-token");
    assert!(credential.password.expose().starts_with("ghs_"));
    assert!(!format!("{forge:?}").contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_installation_token_is_renewed_once() {
    let (server, app) = server_with_app(&in_minutes(60));
    let forge = set_up(&server, Some(app), None).forge;
    forge.issue(&issue()).await.unwrap();
    server.revoke_installation_tokens();
    forge.post_comment(&issue(), &OutgoingText::own("still here")).await.unwrap();
    assert_eq!((server.installation_tokens(), server.comments_on(1).len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_personal_token_is_used_where_the_app_is_not_installed() {
    let (server, app) = server_with_app(&in_minutes(60));
    server.uninstall_app();
    let with_both = set_up(&server, Some(app.clone()), Some(TOKEN)).forge;
    assert_eq!(with_both.issue(&issue()).await.unwrap().title, "Bug");
    let error = set_up(&server, Some(app), None).forge.issue(&issue()).await.unwrap_err();
    assert!(error.to_string().starts_with("an installation of the GitHub App for acme/demo was not found"), "{error}");
}

#[test]
fn both_pem_forms_of_a_private_key_are_accepted_and_nothing_else() {
    for traditional in [true, false] {
        AppKey::from_pem("1", &fresh_key(traditional).0).unwrap();
    }
    for wrong in ["", "hello", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"] {
        let error = AppKey::from_pem("1", &Secret::new(wrong)).unwrap_err();
        assert!(error.to_string().contains("download a new one"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_object_is_read_from_the_cache() {
    let server = GithubServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let forge = forge(&server, Some(TOKEN));
    let first = forge.issue(&issue()).await.unwrap();
    assert_eq!(forge.issue(&issue()).await.unwrap(), first);
    assert_eq!(server.unchanged(), 1);
    server.open_issue("acme/demo", 1, "Bug, renamed", "It breaks.");
    assert_eq!(forge.issue(&issue()).await.unwrap().title, "Bug, renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_sent_while_a_rate_limit_lasts() {
    let message = json!({"message": "You have exceeded a secondary rate limit."});
    let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
    for (status, headers, seconds) in [
        (429, vec![("retry-after", "90")], 90),
        (403, vec![("retry-after", "120")], 120),
        (403, vec![], 60),
        (403, vec![date, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795342200")], 600),
    ] {
        let server = GithubServer::start("/nowhere".into());
        server.open_issue("acme/demo", 1, "Bug", "It breaks.");
        server.answer_next(status, &headers, message.clone());
        let Setup { forge, clock } = set_up(&server, None, Some(TOKEN));
        for _ in 0..3 {
            let error = forge.issue(&issue()).await.unwrap_err();
            let ForgeError::RateLimited { after: Some(after), .. } = error else { panic!("{error:?}") };
            assert_eq!(after.as_secs(), seconds, "{headers:?}");
        }
        assert_eq!(server.requests().len(), 1, "one request was sent");
        clock.advance(seconds.cast_signed());
        forge.issue(&issue()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_not_a_rate_limit_and_server_errors_are_retried() {
    let server = GithubServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    let forge = forge(&server, Some(TOKEN));
    server.answer_next(403, &[], json!({"message": "Resource not accessible by integration"}));
    assert!(matches!(forge.issue(&issue()).await, Err(ForgeError::Forbidden { .. })));
    server.answer_next(502, &[], json!({}));
    server.answer_next(500, &[], json!({}));
    assert_eq!(forge.issue(&issue()).await.unwrap().title, "Bug");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_reactions_checks_and_files_are_written() {
    let server = GithubServer::start("/nowhere".into());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    write_everything(&forge(&server, Some(TOKEN)), &server).await;
}

/// Makes every writing call beyond the forge port.
pub(crate) async fn write_everything(forge: &GithubForge, server: &GithubServer) {
    let repo = issue().repo;
    forge.add_labels(&issue(), &["in work", "bug"]).await.unwrap();
    forge.remove_label(&issue(), "in work").await.unwrap();
    forge.remove_label(&issue(), "in work").await.unwrap();
    forge.react(&issue(), None, Reaction::Eyes).await.unwrap();
    forge.react(&issue(), Some("5000"), Reaction::Eyes).await.unwrap();
    assert_eq!(server.labels_and_reactions(), (vec!["bug".into()], vec!["eyes".into()]));

    let commit = CommitSha::parse(&"a".repeat(40)).unwrap();
    let running = CheckState { conclusion: None, title: "verify", summary: "at work" };
    let id = forge.create_check(&repo, &commit, "patchwright", running).await.unwrap();
    let done = CheckState { conclusion: Some(Conclusion::Success), title: "verify", summary: "12 passed" };
    forge.update_check(&repo, id, done).await.unwrap();
    let check = &server.checks()[0];
    assert_eq!((&check["status"], &check["conclusion"]), (&json!("completed"), &json!("success")));

    let (branch, path) = (BranchName::parse("main").unwrap(), RepoPath::parse("docs/a b.md").unwrap());
    let first = forge.write_file(&repo, &branch, &path, b"one\n", "first").await.unwrap();
    let second = forge.write_file(&repo, &branch, &path, b"two\n", "second").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(forge.read_file(&repo, &path, "main").await.unwrap().as_deref(), Some("two\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_runs_and_statuses_of_a_commit_are_read_with_a_token_that_can_do_nothing_else() {
    let (server, app) = server_with_app(&in_minutes(60));
    let commit = "a".repeat(40);
    let runs = [
        ("build", "completed", Some("success")),
        ("test", "completed", Some("timed_out")),
        ("deploy", "completed", Some("skipped")),
        ("lint", "in_progress", None),
    ];
    server.set_ci(&commit, &runs, &[("ci/old", "error"), ("ci/new", "pending"), ("ci/good", "success")]);
    let forge = set_up(&server, Some(app), Some(TOKEN)).forge;
    let repo = issue().repo;
    let checks = forge.ci_checks(&repo, &commit).await.unwrap().unwrap();
    let outcomes: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("build", CiOutcome::Passed),
            ("test", CiOutcome::Failed),
            ("deploy", CiOutcome::Neutral),
            ("lint", CiOutcome::Pending),
            ("ci/old", CiOutcome::Failed),
            ("ci/new", CiOutcome::Pending),
            ("ci/good", CiOutcome::Passed),
        ]
    );
    let output = forge.ci_output(&repo, &checks[1]).await.unwrap();
    assert_eq!(output, "test failed\n1 error\nsrc/lib.rs:7: expected 5, got 6\n");
    assert_eq!(forge.ci_output(&repo, &checks[4]).await.unwrap(), "", "a status has none");
    assert_eq!(forge.ci_checks(&repo, "main").await.unwrap().unwrap(), [], "a commit that nobody has checked");
    let names: Vec<String> = (0..230).map(|number| format!("job {number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "completed", Some("success"))).collect();
    server.set_ci("many", &many, &[]);
    assert_eq!(forge.ci_checks(&repo, "many").await.unwrap().unwrap().len(), 230, "of all pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_deliveries_are_requested_again_once() {
    let (server, app) = server_with_app(&in_minutes(60));
    // Newest first. `b` failed and succeeded later; `d` failed twice; `f` is too old; `e` was refused by the receiver.
    server.log_deliveries(&[
        (9, "d", "2026-11-22T10:09:00Z", 502),
        (8, "b", "2026-11-22T10:08:00Z", 200),
        (7, "d", "2026-11-22T10:07:00Z", 0),
        (6, "b", "2026-11-22T10:06:00Z", 0),
        (5, "c", "2026-11-22T10:05:00Z", 0),
        (4, "e", "2026-11-22T10:04:00Z", 401),
        (3, "f", "2026-11-22T09:00:00Z", 500),
        (2, "g", "2026-11-22T08:00:00Z", 500),
        (1, "h", "2026-11-22T07:00:00Z", 500),
    ]);
    let forge = set_up(&server, Some(app), Some(TOKEN)).forge;
    let since = "2026-11-22T10:00:00Z".parse().unwrap();
    assert_eq!(forge.redeliver(&Hook::App, since).await.unwrap(), 2);
    assert_eq!(server.redelivered(), [5, 9], "oldest first, the newest attempt of each");
    let hook = Hook::Repository { repo: "acme/demo".parse().unwrap(), id: 77 };
    assert_eq!(forge.redeliver(&hook, since).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mentions_are_found_by_polling() {
    let git = GitServer::start();
    git.make("acme/demo", &[("README.md", "hello\n")]);
    let server = GithubServer::start(git.path("x").parent().unwrap().to_owned());
    server.open_issue("acme/demo", 1, "Bug", "It breaks.");
    server.list_comment(1, 1, "alice", "@patchwright fix (too old)", "2026-11-22T09:00:00Z");
    server.list_comment(2, 1, "alice", "just talking", "2026-11-22T10:01:00Z");
    server.list_comment(3, 1, "alice", "@PatchWright fix", "2026-11-22T10:02:00Z");
    let since = "2026-11-22T10:00:00Z".parse().unwrap();
    let forge = forge(&server, Some(TOKEN));
    let (deliveries, next) = forge.comments_since(&issue().repo, since, "@patchwright").await.unwrap();
    assert_eq!(next.to_string(), "2026-11-22T10:02:00Z");
    let [delivery] = deliveries.as_slice() else { panic!("{deliveries:?}") };
    let InboundEvent::Commented { issue, comment } = &delivery.event else { panic!() };
    assert_eq!((issue.title.as_str(), comment.id.as_str(), comment.author.login.as_str()), ("Bug", "3", "alice"));
    assert_eq!(issue.default_branch.as_ref().unwrap().as_str(), "main");
}
