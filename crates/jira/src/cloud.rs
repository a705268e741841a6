//! The client of all sites: selection of accounts, rate limits, circuit breakers, and fallback to the service account.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use patchwright_core::clock::Clock;
use patchwright_core::forge::ForgeError;
use patchwright_core::jira::{JiraInbox, JiraUsers, WorkspaceSecrets, Workspaces};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::tracker::{Comment, RemoteIssue, Tracker};
use patchwright_domain::jira::Workspace;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{IssueRef, JiraUserId, Milestone, PlatformId, TrackerRef};
use patchwright_http::forge::transport_error;
use patchwright_http::{HttpClient, RateLimitCooldown, Request, Response, Retry};

use crate::JIRA;
use crate::circuit_breaker::CircuitBreakers;
use crate::client::{ApiVersion, JiraAuth, JiraClient};
use crate::comment::encode_comment;
use crate::error::check;
use crate::oauth::JiraOauth;
use crate::token::store_unavailable;

/// The limit on a comment's Markdown, below Jira's limit of 32,767: the text grows when it is converted.
const MAX_COMMENT_CHARS: usize = 20_000;
/// The pause after a rate limit whose response names no wait.
const DEFAULT_COOLDOWN: std::time::Duration = std::time::Duration::from_secs(30);

/// The account that writes comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteAs {
    /// The site's service account.
    #[default]
    ServiceAccount,
    /// The user who made the request; the service account if their account cannot.
    Person,
}

/// The workflow states that issues are moved to, by name. Without a state, the issue is not moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// The state when a job starts.
    pub started: Option<String>,
    /// The state when its pull request is ready for review.
    pub in_review: Option<String>,
    /// The state when its pull request is merged.
    pub merged: Option<String>,
}

impl States {
    pub(crate) fn get(&self, milestone: Milestone) -> Option<&str> {
        match milestone {
            Milestone::Started => self.started.as_deref(),
            Milestone::InReview => self.in_review.as_deref(),
            Milestone::Merged => self.merged.as_deref(),
        }
    }
}

/// Configures a [`JiraCloud`].
#[derive(Debug, Clone)]
pub struct JiraOptions {
    /// `https://api.atlassian.com/ex/jira`
    pub api_url: String,
    /// The version of the REST API.
    pub version: ApiVersion,
    /// The account that writes comments.
    pub write_as: WriteAs,
    /// The workflow states that issues are moved to.
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

/// The stores that a [`JiraCloud`] reads.
#[derive(Clone)]
pub struct JiraRecords {
    /// The sites with their secrets.
    pub workspaces: Arc<dyn Workspaces>,
    /// The linked accounts with their tokens.
    pub users: Arc<dyn JiraUsers>,
    /// The conversations on issues.
    pub inbox: Arc<dyn JiraInbox>,
}

impl std::fmt::Debug for JiraRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JiraRecords")
    }
}

/// The tracker port over all sites of Jira Cloud.
pub struct JiraCloud {
    http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: JiraOptions,
    pub(crate) records: JiraRecords,
    pub(crate) oauth: Option<JiraOauth>,
    breakers: CircuitBreakers,
    cooldown: RateLimitCooldown<String>,
    /// The links whose expiry has been commented on.
    reported_expired: Mutex<HashSet<JiraUserId>>,
}

/// The comment about an expired login (`docs/requirements.md#r52`).
const AUTHENTICATION_FAILED: &str = "**Authentication failed**: the Atlassian login of the user who made the request has \
    expired. Link the account again; until then comments are written by the service account.";

/// The account of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    Service,
    Person(JiraUserId),
}

impl JiraCloud {
    /// Creates a tracker that sends its requests through `http`. Without an OAuth application, tokens of users are not
    /// refreshed.
    pub fn new(
        http: HttpClient,
        clock: Arc<dyn Clock>,
        options: JiraOptions,
        records: JiraRecords,
        oauth: Option<JiraOauth>,
    ) -> Self {
        let api_url = options.api_url.trim_end_matches('/').to_owned();
        let options = JiraOptions { api_url, ..options };
        let (breakers, cooldown) = (CircuitBreakers::default(), RateLimitCooldown::default());
        Self { http, clock, options, records, oauth, breakers, cooldown, reported_expired: Mutex::default() }
    }

    /// Returns the OAuth application at Atlassian.
    pub const fn oauth(&self) -> Option<&JiraOauth> {
        self.oauth.as_ref()
    }

    /// Makes a call about an issue with the account that [`JiraOptions::write_as`] selects.
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

    /// Makes a call about an issue with a given account, and with the service account if that is refused.
    pub(crate) async fn call_as(
        &self,
        account: Option<Account>,
        at: &TrackerRef,
        build: impl Fn(&JiraClient) -> Request,
        retry: Retry,
        action: &str,
        what: &str,
    ) -> Result<Response, ForgeError> {
        let (workspace, secrets) = self.open_workspace(&at.site).await?;
        let account = match account {
            Some(account) => account,
            None => self.select_account(&workspace, at).await?,
        };
        let response = match account {
            Account::Service => self.send_as_service(&workspace, &secrets, &build, retry).await?,
            Account::Person(person) => match self.send_as_person(&workspace, person, &build, retry).await {
                // Jira answers 404 for issues that the user may not see.
                Ok(response) if !matches!(response.status, 401 | 403 | 404) => response,
                Ok(_) | Err(ForgeError::Unauthorized { .. }) => {
                    tracing::warn!(site = at.site, link = %person, "a user's account failed, retrying as the service account");
                    self.report_expired_login(&workspace, &secrets, person, at).await?;
                    self.send_as_service(&workspace, &secrets, &build, retry).await?
                }
                Err(error) => return Err(error),
            },
        };
        check(response, action, what)
    }

    /// Comments on the issue that a user's login has expired, once for each link.
    async fn report_expired_login(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        person: JiraUserId,
        at: &TrackerRef,
    ) -> Result<(), ForgeError> {
        let tokens = self.records.users.tokens(person).await.map_err(|error| store_unavailable(&error))?;
        if tokens.is_some() || !self.reported_expired.lock().expect("no holder of this lock can panic").insert(person) {
            return Ok(());
        }
        let build = |client: &JiraClient| {
            let url = client.url(&["issue", &at.id, "comment"]);
            Request::post(url).json(&encode_comment(AUTHENTICATION_FAILED, client.version()))
        };
        let sent = self.send_as_service(workspace, secrets, &build, Retry::Never).await;
        if let Err(error) = sent.and_then(|response| check(response, "write a comment", &at.key)) {
            tracing::warn!(site = at.site, issue = at.key, %error, "failed to comment on an expired login");
        }
        Ok(())
    }

    /// Makes a call about a site with the service account.
    pub(crate) async fn call_site(
        &self,
        site: &str,
        build: impl Fn(&JiraClient) -> Request,
        action: &str,
    ) -> Result<Response, ForgeError> {
        let (workspace, secrets) = self.open_workspace(site).await?;
        check(self.send_as_service(&workspace, &secrets, &build, Retry::Safe).await?, action, site)
    }

    async fn open_workspace(&self, site: &str) -> Result<(Workspace, WorkspaceSecrets), ForgeError> {
        let found = self.records.workspaces.open_workspace(site).await.map_err(|error| store_unavailable(&error))?;
        found.ok_or_else(|| ForgeError::NotFound { platform: JIRA, what: format!("the site {site} on this server") })
    }

    /// Returns the account that may edit what an Atlassian account has written: its link, or the service account.
    pub(crate) async fn select_author(&self, at: &TrackerRef, account: &str) -> Result<Account, ForgeError> {
        let (workspace, _) = self.open_workspace(&at.site).await?;
        let link = self.records.users.linked(workspace.id, account).await.map_err(|error| store_unavailable(&error))?;
        Ok(link.map_or(Account::Service, |link| Account::Person(link.id)))
    }

    /// Returns the account that writes on an issue: the user of its latest conversation if they have tokens.
    async fn select_account(&self, workspace: &Workspace, at: &TrackerRef) -> Result<Account, ForgeError> {
        if self.options.write_as == WriteAs::ServiceAccount {
            return Ok(Account::Service);
        }
        let conversations = self.records.inbox.conversations_on(workspace.id, &at.id).await;
        let conversations = conversations.map_err(|error| store_unavailable(&error))?;
        let latest = conversations.into_iter().max_by_key(|conversation| conversation.updated_at);
        let Some(person) = latest.map(|conversation| conversation.jira_user_id) else { return Ok(Account::Service) };
        let tokens = self.records.users.tokens(person).await.map_err(|error| store_unavailable(&error))?;
        if tokens.is_none() {
            return Ok(Account::Service);
        }
        // The account is linked again, so its next expiry is reported too.
        self.reported_expired.lock().expect("no holder of this lock can panic").remove(&person);
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
        self.http.redactor().add(&api_token);
        self.send(workspace, JiraAuth::Basic { email, api_token }, build, retry).await
    }

    /// Sends a request as a user. A refused token is refreshed once.
    async fn send_as_person(
        &self,
        workspace: &Workspace,
        person: JiraUserId,
        build: &impl Fn(&JiraClient) -> Request,
        retry: Retry,
    ) -> Result<Response, ForgeError> {
        let token = self.token(person, None).await?;
        self.http.redactor().add(&token);
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
            let detail = format!("the cloud id of {site} is not known until a user links an account");
            return Err(ForgeError::Unauthorized { platform: JIRA, detail });
        };
        let now = self.clock.now();
        if let Some(after) = self.cooldown.remaining(site, now) {
            return Err(ForgeError::RateLimited { platform: JIRA, after: Some(after) });
        }
        if let Some(pause) = self.breakers.remaining_pause(site, now) {
            let detail = format!("{site} does not answer; requests are paused for {} s", pause.as_secs() + 1);
            return Err(ForgeError::Unavailable { platform: JIRA, detail });
        }
        let base = format!("{}/{}", self.options.api_url, patchwright_http::forge::encode_segment(cloud_id));
        let client = JiraClient::new(self.http.clone(), &base, self.options.version, auth);
        let sent = client.send(build(&client), retry).await;
        let succeeded = sent.as_ref().is_ok_and(|response| response.status < 500);
        self.breakers.record(site, succeeded, self.clock.now());
        let response = sent.map_err(|error| transport_error(JIRA, error))?;
        if response.status == 429 {
            let wait = response.wait_hint().unwrap_or(DEFAULT_COOLDOWN);
            self.cooldown.start(site.clone(), self.clock.now(), wait);
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

/// Returns the issue's reference in Jira.
fn tracker_ref(issue: &IssueRef) -> Result<&TrackerRef, ForgeError> {
    let tracker = issue.tracker.as_ref().filter(|tracker| tracker.platform == JIRA);
    tracker.ok_or_else(|| ForgeError::NotFound { platform: JIRA, what: format!("a Jira issue for {issue}") })
}

#[async_trait::async_trait]
impl Tracker for JiraCloud {
    fn platform(&self) -> PlatformId {
        JIRA
    }

    fn max_comment_chars(&self) -> usize {
        MAX_COMMENT_CHARS
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        Ok(self.read_issue(tracker_ref(issue)?).await?.1)
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        self.read_comments(tracker_ref(issue)?).await
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        self.add_comment(tracker_ref(issue)?, body.as_str()).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        self.change_comment(tracker_ref(issue)?, comment_id, body.as_str()).await
    }

    async fn transition(&self, issue: &IssueRef, to: Milestone) -> Result<(), ForgeError> {
        match self.options.states.get(to) {
            Some(state) => self.move_to_state(tracker_ref(issue)?, state).await,
            None => Ok(()),
        }
    }

    async fn link_pull_request(
        &self,
        issue: &IssueRef,
        pull_request: &PullRequestRef,
        title: &OutgoingText,
    ) -> Result<(), ForgeError> {
        self.add_link(tracker_ref(issue)?, &pull_request.url, title.as_str()).await
    }
}
