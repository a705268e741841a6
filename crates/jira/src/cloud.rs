//! All sites: which account asks, who is asked to wait, and what is done when an account is refused.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_core::jira::{JiraInbox, JiraUsers, WorkspaceSecrets, Workspaces};
use patchwright_core::tracker::{Comment, RemoteIssue, Tracker};
use patchwright_domain::jira::Workspace;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{IssueRef, JiraUserId, Milestone, PlatformId, TrackerRef};
use patchwright_http::forge::unreachable;
use patchwright_http::{HttpClient, RateGate, Request, Response, Retry};

use crate::JIRA;
use crate::breaker::Breakers;
use crate::client::{ApiVersion, JiraAuth, JiraClient};
use crate::comment::written;
use crate::error::check;
use crate::oauth::JiraOauth;
use crate::token::unavailable;

/// Markdown grows when it is written for Jira; a comment beyond Jira's own limit is cut between its blocks.
const MAX_MARKDOWN: usize = 20_000;
/// How long Jira wants silence when it does not say.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Whose name our comments carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteAs {
    /// The site's service account.
    #[default]
    ServiceAccount,
    /// The person who asked; the service account where that does not work.
    Person,
}

/// The states that an issue is moved to, by the names that its workflow has for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// When a job is started.
    pub started: Option<String>,
    /// When its pull request waits for people.
    pub in_review: Option<String>,
    /// When that is merged.
    pub merged: Option<String>,
}

impl States {
    pub(crate) fn of(&self, milestone: Milestone) -> Option<&str> {
        match milestone {
            Milestone::Started => self.started.as_deref(),
            Milestone::InReview => self.in_review.as_deref(),
            Milestone::Merged => self.merged.as_deref(),
        }
    }
}

/// Where Jira is, and how it is used.
#[derive(Debug, Clone)]
pub struct JiraOptions {
    /// `https://api.atlassian.com/ex/jira`
    pub api_url: String,
    /// Which interface.
    pub version: ApiVersion,
    /// Whose name our comments carry.
    pub write_as: WriteAs,
    /// Where issues are moved to.
    pub states: States,
}

impl Default for JiraOptions {
    fn default() -> Self {
        Self {
            api_url: "https://api.atlassian.com/ex/jira".to_owned(),
            version: ApiVersion::default(),
            write_as: WriteAs::default(),
            states: States::default(),
        }
    }
}

/// What is kept of sites and people.
#[derive(Clone)]
pub struct JiraRecords {
    /// The sites.
    pub workspaces: Arc<dyn Workspaces>,
    /// The people.
    pub users: Arc<dyn JiraUsers>,
    /// Who talks about which issue.
    pub inbox: Arc<dyn JiraInbox>,
}

impl std::fmt::Debug for JiraRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JiraRecords")
    }
}

/// Jira Cloud, all sites of it.
pub struct JiraCloud {
    http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: JiraOptions,
    pub(crate) records: JiraRecords,
    pub(crate) oauth: Option<JiraOauth>,
    breakers: Breakers,
    gate: RateGate<String>,
    /// Whose ended login was told of.
    told: Mutex<HashSet<JiraUserId>>,
}

/// What is said where a person's login has ended (`seeds/000`).
const AUTHENTICATION_FAILED: &str = "**Authentication failed**: the Atlassian login of the person who asked does not work any \
    more. Link the account again; until then the service account writes.";

/// Who asks in one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    Service,
    Person(JiraUserId),
}

impl JiraCloud {
    /// Jira over this client. Without an application at Atlassian, people cannot link their accounts.
    pub fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        options: JiraOptions,
        records: JiraRecords,
        oauth: Option<JiraOauth>,
    ) -> Self {
        let api_url = options.api_url.trim_end_matches('/').to_owned();
        let options = JiraOptions { api_url, ..options };
        let (breakers, gate, told) = (Breakers::default(), RateGate::default(), Mutex::default());
        Self { http, clock, options, records, oauth, breakers, gate, told }
    }

    /// The application at Atlassian.
    pub const fn oauth(&self) -> Option<&JiraOauth> {
        self.oauth.as_ref()
    }

    /// Makes a call about an issue, as whoever this server writes as.
    pub(crate) async fn call(
        &self,
        at: &TrackerRef,
        build: impl Fn(&JiraClient) -> Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        self.call_as(None, at, build, retry, action, what).await
    }

    /// The same as somebody who is named, and as the service account where they are refused.
    pub(crate) async fn call_as(
        &self,
        account: Option<Account>,
        at: &TrackerRef,
        build: impl Fn(&JiraClient) -> Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        let (workspace, secrets) = self.open(&at.site).await?;
        let account = match account {
            Some(account) => account,
            None => self.account(&workspace, at).await?,
        };
        let response = match account {
            Account::Service => self.send_as_service(&workspace, &secrets, &build, retry).await?,
            Account::Person(person) => match self.send_as(&workspace, person, &build, retry).await {
                // What a person may not see is told them as missing.
                Ok(response) if !matches!(response.status, 401 | 403 | 404) => response,
                Ok(_) | Err(ForgeError::Unauthorized { .. }) => {
                    tracing::warn!(site = at.site, "the person's account is refused; the service account goes on");
                    self.say_refused(&workspace, &secrets, person, at).await?;
                    self.send_as_service(&workspace, &secrets, &build, retry).await?
                }
                Err(error) => return Err(error),
            },
        };
        check(response, action, what)
    }

    /// Says on the issue that a person's login has ended, once: from then on they have no tokens and are not asked.
    async fn say_refused(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        person: JiraUserId,
        at: &TrackerRef,
    ) -> Result<(), ForgeError> {
        let ended = self.records.users.tokens(person).await.map_err(|error| unavailable(&error))?.is_none();
        if !ended || !self.told.lock().expect("no holder of this lock can panic").insert(person) {
            return Ok(());
        }
        let build = |client: &JiraClient| {
            let url = client.url(&["issue", &at.id, "comment"]);
            Request::post(url).json(&written(AUTHENTICATION_FAILED, client.version()))
        };
        let sent = self.send_as_service(workspace, secrets, &build, Retry::Never).await;
        if let Err(error) = sent.and_then(|response| check(response, "write a comment", &at.key)) {
            tracing::warn!(site = at.site, %error, "it could not be said that a person's login has ended");
        }
        Ok(())
    }

    /// Makes a call as the service account, for what is about a site and not about an issue.
    pub(crate) async fn call_site(
        &self,
        site: &str,
        build: impl Fn(&JiraClient) -> Request,
        action: &str,
    ) -> Result<Response, ForgeError> {
        let (workspace, secrets) = self.open(site).await?;
        check(self.send_as_service(&workspace, &secrets, &build, Retry::Safe).await?, action, site)
    }

    async fn open(&self, site: &str) -> Result<(Workspace, WorkspaceSecrets), ForgeError> {
        let found = self.records.workspaces.open_workspace(site).await.map_err(|error| unavailable(&error))?;
        found.ok_or_else(|| ForgeError::NotFound { platform: JIRA, what: format!("the site {site} on this server") })
    }

    /// Whoever wrote something, as far as we may write in their name.
    pub(crate) async fn author(&self, at: &TrackerRef, account: &str) -> Result<Account, ForgeError> {
        let (workspace, _) = self.open(&at.site).await?;
        let link = self.records.users.linked(workspace.id, account).await.map_err(|error| unavailable(&error))?;
        Ok(link.map_or(Account::Service, |link| Account::Person(link.id)))
    }

    async fn account(&self, workspace: &Workspace, at: &TrackerRef) -> Result<Account, ForgeError> {
        if self.options.write_as == WriteAs::ServiceAccount {
            return Ok(Account::Service);
        }
        let on = self.records.inbox.conversations_on(workspace.id, &at.id).await;
        let on = on.map_err(|error| unavailable(&error))?;
        // Whoever spoke last.
        let last = on.into_iter().max_by_key(|conversation| conversation.updated_at);
        let Some(person) = last.map(|conversation| conversation.jira_user_id) else { return Ok(Account::Service) };
        let tokens = self.records.users.tokens(person).await.map_err(|error| unavailable(&error))?;
        if tokens.is_none() {
            return Ok(Account::Service);
        }
        // They have linked their account again: its next end is told of too.
        self.told.lock().expect("no holder of this lock can panic").remove(&person);
        Ok(Account::Person(person))
    }

    async fn send_as_service(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        build: &impl Fn(&JiraClient) -> Request,
        retry: Retry,
    ) -> Result<Response, ForgeError> {
        let Some((email, api_token)) = secrets.service_account.clone() else {
            let detail = format!("no service account is set for {}", workspace.name);
            return Err(ForgeError::Unauthorized { platform: JIRA, detail });
        };
        // Whatever is told of this call, the token is masked in it.
        self.http.redactor().learn(&api_token);
        self.send(workspace, JiraAuth::Basic { email, api_token }, build, retry).await
    }

    /// As a person; a token that is refused is exchanged once.
    async fn send_as(
        &self,
        workspace: &Workspace,
        person: JiraUserId,
        build: &impl Fn(&JiraClient) -> Request,
        retry: Retry,
    ) -> Result<Response, ForgeError> {
        let token = self.token(person, None).await?;
        self.http.redactor().learn(&token);
        let response = self.send(workspace, JiraAuth::Bearer(token.clone()), build, retry).await?;
        if response.status != 401 {
            return Ok(response);
        }
        let token = self.token(person, Some(&token)).await?;
        self.send(workspace, JiraAuth::Bearer(token), build, retry).await
    }

    async fn send(
        &self,
        workspace: &Workspace,
        auth: JiraAuth,
        build: &impl Fn(&JiraClient) -> Request,
        retry: Retry,
    ) -> Result<Response, ForgeError> {
        let site = &workspace.name;
        let Some(cloud_id) = &workspace.cloud_id else {
            let detail = format!("the cloud id of {site} is not known yet: somebody links their account first");
            return Err(ForgeError::Unauthorized { platform: JIRA, detail });
        };
        let now = self.clock.now();
        if let Some(after) = self.gate.closed_for(site, now) {
            return Err(ForgeError::RateLimited { platform: JIRA, after: Some(after) });
        }
        if let Some(rest) = self.breakers.closed_for(site, now) {
            let detail = format!("{site} did not answer and is left alone for {} s", rest.as_secs() + 1);
            return Err(ForgeError::Unavailable { platform: JIRA, detail });
        }
        let base = format!("{}/{}", self.options.api_url, patchwright_http::forge::encode_segment(cloud_id));
        let client = JiraClient::new(self.http.clone(), &base, self.options.version, auth);
        let sent = client.send(build(&client), retry).await;
        let answered = sent.as_ref().is_ok_and(|response| response.status < 500);
        self.breakers.note(site, answered, self.clock.now());
        let response = sent.map_err(|error| unreachable(JIRA, error))?;
        if response.status == 429 {
            let wait = response.wait_hint().unwrap_or(SILENCE);
            self.gate.close(site.clone(), self.clock.now(), wait);
            return Err(ForgeError::RateLimited { platform: JIRA, after: Some(wait) });
        }
        Ok(response)
    }
}

impl std::fmt::Debug for JiraCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JiraCloud").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Where the issue is in Jira.
fn place(issue: &IssueRef) -> Result<&TrackerRef, ForgeError> {
    let here = issue.tracker.as_ref().filter(|tracker| tracker.platform == JIRA);
    here.ok_or_else(|| ForgeError::NotFound { platform: JIRA, what: format!("{issue}, which is no issue of Jira") })
}

#[async_trait::async_trait]
impl Tracker for JiraCloud {
    fn platform(&self) -> PlatformId {
        JIRA
    }

    fn max_comment_chars(&self) -> usize {
        MAX_MARKDOWN
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        Ok(self.read_issue(place(issue)?).await?.1)
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        self.read_comments(place(issue)?).await
    }

    async fn post_comment(&self, issue: &IssueRef, body: &str) -> Result<String, ForgeError> {
        self.add_comment(place(issue)?, body).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &str) -> Result<(), ForgeError> {
        self.change_comment(place(issue)?, comment_id, body).await
    }

    async fn transition(&self, issue: &IssueRef, to: Milestone) -> Result<(), ForgeError> {
        match self.options.states.of(to) {
            Some(state) => self.move_to(place(issue)?, state).await,
            None => Ok(()),
        }
    }

    async fn link_pull_request(
        &self,
        issue: &IssueRef,
        pull_request: &PullRequestRef,
        title: &str,
    ) -> Result<(), ForgeError> {
        self.add_link(place(issue)?, &pull_request.url, title).await
    }
}
