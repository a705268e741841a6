//! The adapter's calls against a fake Jira, with and without failures.

use patchwright_core::Secret;
use patchwright_core::fault::Fault;
use patchwright_core::jira::{JiraSites as _, JiraUsers as _, Tokens, WorkspaceSecrets, Workspaces as _};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::tracker::{ForgeError, Tracker as _};
use patchwright_domain::{IssueNumber, IssueRef, Milestone, PlatformId, TrackerRef};
use patchwright_jira::{ApiVersion, OauthError, WriteAs};
use patchwright_testkit::build::{after, audit_entry, start_of_time};
use patchwright_testkit::server::{JIRA_CLOUD_ID, JIRA_SERVICE, JIRA_SITE, JiraServer};
use serde_json::json;

use super::{MIA, issue, start, start_at, tracker};

#[tokio::test(flavor = "multi_thread")]
async fn issues_and_comments_are_read_and_written_in_both_kinds_of_text() {
    for version in [ApiVersion::V2, ApiVersion::V3] {
        let site = start(version).await;
        let remote = site.jira.issue(&issue()).await.unwrap();
        assert_eq!((remote.title.as_str(), remote.body.as_str()), ("add() subtracts", "`add(1, 2)` is **-1**."));
        assert_eq!((remote.open, remote.url.as_str()), (true, "https://acme.atlassian.net/browse/PROJ-12"));
        let id = site.jira.post_comment(&issue(), &OutgoingText::own("**Hi** `a_b`\n\n<!-- mark 1 -->")).await.unwrap();
        site.jira.edit_comment(&issue(), &id, &OutgoingText::own("**Hello**\n\n<!-- mark 1 -->")).await.unwrap();
        site.server.comment(MIA, "PROJ-12", "thanks");
        let comments = site.jira.comments(&issue()).await.unwrap();
        let found: Vec<(&str, &str)> = comments.iter().map(|c| (c.author.as_str(), c.body.as_str())).collect();
        assert_eq!(found, [(JIRA_SERVICE.2, "**Hello**\n\n<!-- mark 1 -->"), (MIA, "thanks")]);
        assert_eq!(site.jira.own_account(JIRA_SITE).await.unwrap(), JIRA_SERVICE.2);
        let forge =
            IssueRef::on_forge(PlatformId::from_static("github"), "acme/demo".parse().unwrap(), IssueNumber::same(1));
        assert!(matches!(site.jira.issue(&forge).await, Err(ForgeError::NotFound { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_comments_are_read() {
    let site = start(ApiVersion::V2).await;
    for n in 0..230 {
        site.server.comment(MIA, "PROJ-12", format!("comment {n}"));
    }
    let comments = site.jira.comments(&issue()).await.unwrap();
    assert_eq!((comments.len(), comments[229].body.as_str()), (230, "comment 229"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_moved_by_the_state_name_unless_the_workflow_forbids_it() {
    let site = start(ApiVersion::V2).await;
    let review = site.jira.transition(&issue(), Milestone::InReview).await.unwrap_err().to_string();
    assert!(review.contains("`in review`") && review.contains("from `To Do` to In Progress only"), "{review}");
    for (to, state) in
        [(Milestone::Started, "In Progress"), (Milestone::InReview, "In Review"), (Milestone::InReview, "In Review")]
    {
        site.jira.transition(&issue(), to).await.unwrap();
        assert_eq!(site.server.status_of("PROJ-12"), state);
    }
    site.jira.transition(&issue(), Milestone::Merged).await.unwrap();
    assert_eq!(site.server.status_of("PROJ-12"), "In Review", "no state is configured for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_linked_once() {
    let site = start(ApiVersion::V2).await;
    let pull_request = patchwright_domain::job::PullRequestRef {
        number: 7,
        url: "https://github.com/acme/demo/pull/7".into(),
        node_id: None,
        draft: true,
        end: None,
    };
    for _ in 0..2 {
        site.jira
            .link_pull_request(&issue(), &pull_request, &OutgoingText::own("[PROJ-12] add() subtracts"))
            .await
            .unwrap();
    }
    assert_eq!(site.server.links(), [pull_request.url]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_distinguished_and_contain_no_secret() {
    let site = start(ApiVersion::V2).await;
    let jira = &site.jira;
    let unknown = TrackerRef { id: "1".into(), ..tracker() };
    assert!(matches!(jira.issue_at(&unknown).await, Err(ForgeError::NotFound { .. })));
    let elsewhere = TrackerRef { site: "other.atlassian.net".into(), ..tracker() };
    assert!(matches!(jira.issue_at(&elsewhere).await, Err(ForgeError::NotFound { .. })));
    site.server.answer_next("/comment", 400, &[], json!({"errorMessages": ["Comment body is not valid!"]}));
    assert!(matches!(jira.post_comment_at(&tracker(), &OutgoingText::own("x")).await, Err(ForgeError::Refused { .. })));
    jira.post_comment_at(&tracker(), &OutgoingText::join(&vec![OutgoingText::own("x_"); 40_000], "")).await.unwrap();
    site.server.answer_next("/issue/", 403, &[], json!({"errorMessages": ["no"], "errors": {"a": "b"}}));
    let forbidden = jira.issue_at(&tracker()).await.unwrap_err();
    assert!(forbidden.to_string().contains("no; a: b"), "{forbidden}");
    site.server.refuse_service_account(true);
    let refused = jira.issue_at(&tracker()).await.unwrap_err();
    assert!(matches!(refused, ForgeError::Unauthorized { .. }));
    assert!(!format!("{refused:?}{refused}").contains(JIRA_SERVICE.1));

    // Without a cloud id, or without a service account, the error names the remedy.
    let (known, secrets) = site.kept.open_workspace(JIRA_SITE).await.unwrap().unwrap();
    let without_id = patchwright_domain::jira::Workspace { cloud_id: None, ..known.clone() };
    site.kept.change_workspace(&without_id, None, audit_entry("site.changed")).await.unwrap();
    assert!(jira.issue_at(&tracker()).await.unwrap_err().to_string().contains("until a user links an account"));
    let without_account = WorkspaceSecrets { service_account: None, ..secrets };
    site.kept.change_workspace(&known, Some(&without_account), audit_entry("site.changed")).await.unwrap();
    assert!(jira.issue_at(&tracker()).await.unwrap_err().to_string().contains("no service account is set"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_is_retried_and_a_failed_write_is_not() {
    let site = start(ApiVersion::V2).await;
    for _ in 0..2 {
        site.server.answer_next("/issue/", 503, &[("retry-after", "0")], json!({}));
    }
    site.jira.issue_at(&tracker()).await.unwrap();
    assert_eq!(site.server.requests().len(), 3);
    site.server.lose_answer_of_next("/comment");
    let lost = site.jira.post_comment_at(&tracker(), &OutgoingText::own("once")).await.unwrap_err();
    assert_eq!(lost.fault(), Fault::RETRY);
    assert_eq!(site.server.requests().len(), 4, "the caller must find out whether it was written");
    assert_eq!(site.jira.comments_at(&tracker()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_sent_during_a_rate_limit_or_while_the_circuit_breaker_is_open() {
    let site = start(ApiVersion::V2).await;
    site.server.answer_next("/issue/", 429, &[("retry-after", "30")], json!({}));
    for _ in 0..3 {
        let slow = site.jira.issue_at(&tracker()).await.unwrap_err();
        assert_eq!(slow.fault(), Fault::Retry { after: Some(std::time::Duration::from_secs(30)) });
    }
    assert_eq!(site.server.requests().len(), 1, "no request is sent during the rate limit");
    site.clock.advance(31);
    site.jira.issue_at(&tracker()).await.unwrap();

    let sent = site.server.requests().len();
    for _ in 0..5 {
        site.server.answer_next("/comment", 500, &[], json!({}));
        site.jira.post_comment_at(&tracker(), &OutgoingText::own("x")).await.unwrap_err();
    }
    let away = site.jira.issue_at(&tracker()).await.unwrap_err();
    assert!(away.to_string().contains("requests are paused"), "{away}");
    assert_eq!(site.server.requests().len(), sent + 5);
    site.clock.advance(16);
    site.jira.issue_at(&tracker()).await.unwrap();
    site.jira.issue_at(&tracker()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_refresh_a_token_once() {
    let site = start(ApiVersion::V2).await;
    let oauth = site.jira.oauth().unwrap();
    let url = oauth.authorization_url("a state & more").unwrap();
    assert!(url.contains("state=a+state+%26+more") && url.contains("scope=read%3Ame+read"), "{url}");
    let (link, tokens) = site.link_mia().await;
    assert_eq!(tokens.expires_at, after(3_600));
    let sites = oauth.sites(&tokens.access).await.unwrap();
    assert!(sites.iter().any(|site| (site.host.as_str(), site.cloud_id.as_str()) == (JIRA_SITE, JIRA_CLOUD_ID)));
    assert_eq!(oauth.person(&tokens.access).await.unwrap().account, MIA);

    assert!(site.jira.token(link, None).await.unwrap().matches(tokens.access.expose()));
    site.clock.advance(3_560);
    let many = futures_util::future::join_all((0..10).map(|_| site.jira.token(link, None))).await;
    let first = many[0].as_ref().unwrap().expose().to_owned();
    assert!(many.iter().all(|token| token.as_ref().unwrap().matches(&first)));
    assert_eq!((site.server.refreshed(), first == tokens.access.expose()), (1, false));

    // Jira refuses a token that looks valid: it is refreshed.
    let next = site.jira.token(link, Some(&Secret::new(first.as_str()))).await.unwrap();
    assert_eq!((site.server.refreshed(), next.matches(&first)), (2, false));
    // After a failure of the token endpoint the grant is still valid. After its end the user must link again.
    site.server.answer_next("/oauth/token", 503, &[], json!({}));
    let down = site.jira.token(link, Some(&next)).await.unwrap_err();
    assert_eq!(down.fault(), Fault::RETRY);
    assert!(site.jira.token(link, Some(&next)).await.is_ok(), "the lease was released");
    site.server.end_grants();
    let kept = site.kept.tokens(link).await.unwrap().unwrap();
    let gone = site.jira.token(link, Some(&kept.access)).await.unwrap_err();
    assert!(gone.to_string().contains("Unknown or invalid refresh token"), "{gone}");
    assert!(site.kept.tokens(link).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_application_and_a_used_code_are_distinguished() {
    let site = start(ApiVersion::V2).await;
    let spent = site.jira.oauth().unwrap().exchange("spent", start_of_time()).await.unwrap_err();
    assert!(matches!(spent, OauthError::Denied(_)), "{spent}");
    let options =
        patchwright_jira::OauthOptions { client_secret: Secret::new("wrong"), ..super::application(&site.server) };
    let http = patchwright_http::HttpClient::new(&patchwright_http::HttpOptions::default()).unwrap();
    let unknown = patchwright_jira::JiraOauth::new(http, options).exchange("x", start_of_time()).await.unwrap_err();
    assert!(matches!(unknown, OauthError::Application(_)) && unknown.to_string().contains("client_secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_written_as_the_latest_person_and_as_the_service_account_if_that_fails() {
    let site = start_at(None, ApiVersion::V2, WriteAs::Person, JiraServer::start()).await;
    let jira = &site.jira;
    let author = async || jira.comments_at(&tracker()).await.unwrap().last().unwrap().author.clone();
    jira.post_comment_at(&tracker(), &OutgoingText::own("nobody has asked yet")).await.unwrap();
    assert_eq!(author().await, JIRA_SERVICE.2);
    let (link, _) = site.link_mia().await;
    site.converse(link).await;
    jira.post_comment_at(&tracker(), &OutgoingText::own("as Mia")).await.unwrap();
    assert_eq!(author().await, MIA);
    site.server.end_access_tokens();
    jira.post_comment_at(&tracker(), &OutgoingText::own("as Mia, with another token")).await.unwrap();
    assert_eq!((author().await.as_str(), site.server.refreshed()), (MIA, 1));
    let first = jira.comments_at(&tracker()).await.unwrap()[0].id.clone();
    jira.edit_comment(&issue(), &first, &OutgoingText::own("only its author may edit it")).await.unwrap();
    site.server.end_grants();
    jira.post_comment_at(&tracker(), &OutgoingText::own("as the service account")).await.unwrap();
    jira.post_comment_at(&tracker(), &OutgoingText::own("and again")).await.unwrap();
    let bodies: Vec<String> = jira.comments_at(&tracker()).await.unwrap().into_iter().rev().map(|c| c.body).collect();
    assert_eq!((bodies[0].as_str(), bodies[1].as_str()), ("and again", "as the service account"));
    assert!(
        bodies[2].starts_with("**Authentication failed**") && !bodies[3].starts_with("**Auth"),
        "the expiry is reported once: {bodies:?}"
    );
    let without = Tokens { refresh: None, access: Secret::new("old"), expires_at: after(-1) };
    site.kept.store_tokens(link, Some(&without)).await.unwrap();
    jira.post_comment_at(&tracker(), &OutgoingText::own("again")).await.unwrap();
    assert_eq!(author().await, JIRA_SERVICE.2);
    assert!(site.kept.tokens(link).await.unwrap().is_none(), "tokens that cannot be refreshed are deleted");
}
