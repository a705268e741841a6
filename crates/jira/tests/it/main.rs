//! The Jira adapter against a fake of Atlassian's services, and against Atlassian's OpenAPI description.

#![expect(clippy::unwrap_used, reason = "a failed setup ends the test")]

mod calls;
mod openapi;

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::jira::{JiraInbox as _, JiraUsers as _, Tokens, WorkspaceSecrets, Workspaces as _};
use patchwright_domain::jira::{Conversation, JIRA, JiraUser, LinkStatus, Workspace};
use patchwright_domain::{ConversationId, IssueRef, JiraUserId, PlatformId, TrackerRef, UserId, WorkspaceId};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_jira::{ApiVersion, JiraCloud, JiraOauth, JiraOptions, JiraRecords, OauthOptions, States, WriteAs};
use patchwright_testkit::build::{after, audit_entry, start_of_time};
use patchwright_testkit::fake::{FakeClock, FakeJira};
use patchwright_testkit::server::{JIRA_APPLICATION, JIRA_CLOUD_ID, JIRA_SERVICE, JIRA_SITE, JiraServer};

/// A user of the site.
pub(crate) const MIA: &str = "557058:mia-krystof";

/// A fake site with an issue, and the adapter for it.
pub(crate) struct Fixture {
    pub(crate) server: JiraServer,
    pub(crate) kept: Arc<FakeJira>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) jira: JiraCloud,
    pub(crate) workspace: WorkspaceId,
}

pub(crate) fn tracker() -> TrackerRef {
    TrackerRef::new(JIRA, JIRA_SITE, "10042", "PROJ-12").unwrap()
}

pub(crate) fn issue() -> IssueRef {
    IssueRef::tracked(PlatformId::from_static("github"), "acme/demo".parse().unwrap(), tracker())
}

pub(crate) async fn start(version: ApiVersion) -> Fixture {
    start_at(None, version, WriteAs::ServiceAccount, JiraServer::start()).await
}

/// Starts a fixture whose adapter uses another address than the server's own.
pub(crate) async fn start_at(
    api_url: Option<String>,
    version: ApiVersion,
    write_as: WriteAs,
    server: JiraServer,
) -> Fixture {
    patchwright_http::install_tls();
    server.add_person(MIA, "Mia Krystof");
    server.open_issue("10042", "PROJ-12", "add() subtracts", "{{add(1, 2)}} is *-1*.");
    let kept = Arc::new(FakeJira::default());
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(uuid::Uuid::from_u128(7)),
        name: JIRA_SITE.to_owned(),
        cloud_id: Some(JIRA_CLOUD_ID.to_owned()),
        admin: UserId::from_uuid(uuid::Uuid::from_u128(1)),
        status: LinkStatus::Active,
        own_account: None,
        created_at: start_of_time(),
        updated_at: start_of_time(),
    };
    let account = Some((JIRA_SERVICE.0.to_owned(), Secret::new(JIRA_SERVICE.1)));
    let secrets = WorkspaceSecrets { webhook: vec![Secret::new("s")], service_account: account };
    assert!(kept.add_workspace(&workspace, &secrets, audit_entry("site.added")).await.unwrap());
    let options = JiraOptions {
        api_url: api_url.unwrap_or_else(|| format!("{}/ex/jira", server.url())),
        version,
        write_as,
        states: States { started: Some("In Progress".into()), in_review: Some("in review".into()), merged: None },
    };
    let records = JiraRecords { workspaces: kept.clone(), users: kept.clone(), inbox: kept.clone() };
    let http = HttpClient::new(&HttpOptions::default()).unwrap();
    let clock = Arc::new(FakeClock::default());
    let oauth = JiraOauth::new(http.clone(), application(&server));
    let jira = JiraCloud::new(http, clock.clone(), options, records, Some(oauth));
    Fixture { server, kept, clock, jira, workspace: workspace.id }
}

pub(crate) fn application(server: &JiraServer) -> OauthOptions {
    let url = server.url();
    OauthOptions {
        auth_url: format!("{url}/authorize"),
        token_url: format!("{url}/oauth/token"),
        resources_url: format!("{url}/oauth/token/accessible-resources"),
        me_url: format!("{url}/me"),
        client_id: JIRA_APPLICATION.0.to_owned(),
        client_secret: Secret::new(JIRA_APPLICATION.1),
        redirect_uri: "https://patchwright.example/api/v1/jira/callback".to_owned(),
        scopes: "read:me read:jira-user read:jira-work write:jira-work offline_access".to_owned(),
    }
}

impl Fixture {
    /// Links Mia's account through the consent page and stores her tokens.
    pub(crate) async fn link_mia(&self) -> (JiraUserId, Tokens) {
        let oauth = self.jira.oauth().unwrap();
        let back = self.server.consent(&oauth.authorization_url("state").unwrap(), MIA);
        let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
        let tokens = oauth.exchange(code, start_of_time()).await.unwrap();
        let link = JiraUser {
            id: JiraUserId::from_uuid(uuid::Uuid::from_u128(8)),
            user_id: UserId::from_uuid(uuid::Uuid::from_u128(1)),
            account: MIA.to_owned(),
            workspace_id: self.workspace,
            display_name: "Mia".to_owned(),
            status: LinkStatus::Active,
            created_at: after(0),
            updated_at: after(0),
        };
        let link = self.kept.link(&link, Some(&tokens), audit_entry("linked")).await.unwrap();
        (link.id, tokens)
    }

    /// Stores a conversation of a linked user on the issue.
    pub(crate) async fn converse(&self, with: JiraUserId) {
        let conversation = Conversation {
            id: ConversationId::from_uuid(uuid::Uuid::from_u128(1)),
            workspace_id: self.workspace,
            issue_id: "10042".to_owned(),
            issue_key: "PROJ-12".to_owned(),
            jira_user_id: with,
            repository: None,
            asked: None,
            created_at: after(0),
            updated_at: after(0),
        };
        self.kept.store_conversation(&conversation).await.unwrap();
    }
}
