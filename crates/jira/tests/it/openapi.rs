//! Every request of the adapter is validated against Atlassian's OpenAPI document, by Prism as a proxy before the fake server.

use patchwright_core::jira::JiraSites as _;
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::tracker::Tracker as _;
use patchwright_domain::Milestone;
use patchwright_domain::job::PullRequestRef;
use patchwright_jira::{ApiVersion, WriteAs};
use patchwright_testkit::fetched;
use patchwright_testkit::server::{JIRA_CLOUD_ID, JIRA_SERVICE, JIRA_SITE, JiraServer, Prism};

use super::{Fixture, issue, start_at};

/// The operations that the adapter calls, below the version.
const CALLS: &[(&str, &[&str])] = &[
    ("issue/{issueIdOrKey}", &["get"]),
    ("issue/{issueIdOrKey}/comment", &["get", "post"]),
    ("issue/{issueIdOrKey}/comment/{id}", &["get", "put"]),
    ("comment/list", &["post"]),
    ("issue/{issueIdOrKey}/transitions", &["get", "post"]),
    ("issue/{issueIdOrKey}/remotelink", &["post"]),
    ("myself", &["get"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_conforms_to_atlassians_description() {
    let (Some(npm), Some(document)) = (fetched("GITHUB_OPENAPI_NPM"), fetched("JIRA_OPENAPI")) else { return };
    for (version, number) in [(ApiVersion::V3, 3), (ApiVersion::V2, 2)] {
        let paths: Vec<String> = CALLS.iter().map(|(path, _)| format!("/rest/api/{number}/{path}")).collect();
        let calls: Vec<(&str, &[&str])> =
            paths.iter().zip(CALLS).map(|(path, (_, methods))| (path.as_str(), *methods)).collect();
        for write_as in [WriteAs::ServiceAccount, WriteAs::Person] {
            let server = JiraServer::start();
            let below = format!("/ex/jira/{JIRA_CLOUD_ID}");
            let prism = Prism::start_below(&npm, &document, &calls, &server.url(), &below);
            let site = start_at(Some(format!("{}/ex/jira", prism.url())), version, write_as, server).await;
            make_every_call(&site).await;
            let (wrong, requests) = prism.verdict();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            assert!(requests > 10, "only {requests} requests went through Prism");
        }
    }
}

/// Makes every call of the adapter.
async fn make_every_call(site: &Fixture) {
    let jira = &site.jira;
    let (link, _) = site.link_mia().await;
    site.converse(link).await;
    assert_eq!(jira.own_account(JIRA_SITE).await.unwrap(), JIRA_SERVICE.2);
    jira.issue(&issue()).await.unwrap();
    let words = OutgoingText::join(&vec![OutgoingText::own("y"); 100], " ");
    let long = OutgoingText::fill(
        "# Hi\n\n| a | b |\n| --- | --- |\n| 1 | `2` |\n\n- x\n\n{words}\n\n<!-- mark -->",
        &[("words", &words)],
    );
    let id = jira.post_comment(&issue(), &long).await.unwrap();
    jira.edit_comment(&issue(), &id, &OutgoingText::own("**Hello**\n\n<!-- mark -->")).await.unwrap();
    assert_eq!(jira.comments(&issue()).await.unwrap()[0].body, "**Hello**\n\n<!-- mark -->");
    jira.transition(&issue(), Milestone::Started).await.unwrap();
    jira.transition(&issue(), Milestone::InReview).await.unwrap();
    let url = "https://github.com/acme/demo/pull/7".to_owned();
    let pull_request = PullRequestRef { number: 7, url, node_id: None, draft: true, end: None };
    jira.link_pull_request(&issue(), &pull_request, &OutgoingText::own("[PROJ-12] add() subtracts")).await.unwrap();
}
