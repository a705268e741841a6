//! Jira Cloud: the stores of its sites, account links and events, and the calls to a site before the repository of an
//! issue is known. From then on the site is a [`Tracker`](crate::tracker::Tracker) like any other.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::jira::{Conversation, JiraUser, ProjectRepository, Workspace};
use patchwright_domain::{DeliveryId, JiraEventId, JiraUserId, TrackerRef, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::audit::AuditEntry;
use crate::fault::Fault;
use crate::outgoing_text::OutgoingText;
use crate::secret::Secret;
use crate::store::{EffectOutcome, StoreError};
use crate::tracker::{Comment, ForgeError, RemoteIssue};
use crate::webhook::{DecodeError, Headers};

/// The secrets of a site. They are encrypted at rest.
#[derive(Debug, Clone)]
pub struct WorkspaceSecrets {
    /// The secrets that deliveries are signed with: the current one first, then the one before it.
    pub webhook: Vec<Secret>,
    /// The service account's mail address and API key.
    pub service_account: Option<(String, Secret)>,
}

/// The OAuth tokens of a linked user.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// The refresh token, which can be exchanged once; `None` without the scope `offline_access`.
    pub refresh: Option<Secret>,
}

/// The store of linked sites.
///
/// An implementation
/// * MUST encrypt secrets before they are written;
/// * MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing changes.
#[async_trait]
pub trait Workspaces: Send + Sync {
    /// Adds a site; `false` when the name is known.
    async fn add_workspace(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Returns all sites, by name.
    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError>;

    /// Returns a site by id.
    async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// Returns a site by name, with its secrets.
    async fn open_workspace(&self, name: &str) -> Result<Option<(Workspace, WorkspaceSecrets)>, StoreError>;

    /// Changes a site, and its secrets if some are given; `false` when it does not exist.
    async fn change_workspace(
        &self,
        workspace: &Workspace,
        secrets: Option<&WorkspaceSecrets>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Sets what the server discovered about a site, and nothing else of it: Atlassian's id of the site, and the account
    /// that our comments are written by. What is `None` stays.
    async fn set_discovered(
        &self,
        id: WorkspaceId,
        cloud_id: Option<&str>,
        own_account: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Returns the repositories of a site's projects, by project.
    async fn projects(&self, id: WorkspaceId) -> Result<Vec<ProjectRepository>, StoreError>;

    /// Sets the repository of a project.
    async fn set_project(
        &self,
        id: WorkspaceId,
        project: &ProjectRepository,
        audit: AuditEntry,
    ) -> Result<(), StoreError>;

    /// Removes the repository of a project; `false` when it has none.
    async fn remove_project(&self, id: WorkspaceId, project: &str, audit: AuditEntry) -> Result<bool, StoreError>;
}

/// A link was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The account is linked to another user.
    #[error("this Atlassian account is linked to another user of this server, who must unlink it first")]
    AccountTaken,
    /// The user has linked another account of the site.
    #[error("you have linked another account of this site; unlink it first")]
    OtherAccount,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::AccountTaken | Self::OtherAccount => Fault::Denied,
            Self::Store(error) => error.fault(),
        }
    }
}

/// The store of links between users of this server and their Atlassian accounts, with their tokens.
///
/// An implementation
/// * MUST encrypt tokens before they are written;
/// * MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing changes.
#[async_trait]
pub trait JiraUsers: Send + Sync {
    /// Links a user to an account, or renews the link under its old id. A user has one active link to a site, and an
    /// account is linked to one user.
    async fn link(&self, link: &JiraUser, tokens: Option<&Tokens>, audit: AuditEntry) -> Result<JiraUser, LinkError>;

    /// Returns the links of a user, or all.
    async fn links(&self, of: Option<UserId>) -> Result<Vec<JiraUser>, StoreError>;

    /// Returns a link by id.
    async fn jira_user(&self, id: JiraUserId) -> Result<Option<JiraUser>, StoreError>;

    /// Returns the active link of an account.
    async fn linked(&self, workspace: WorkspaceId, account: &str) -> Result<Option<JiraUser>, StoreError>;

    /// Ends a link and deletes its tokens; `false` when it is not active.
    async fn unlink(&self, id: JiraUserId, now: Timestamp, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Returns the tokens of a link.
    async fn tokens(&self, id: JiraUserId) -> Result<Option<Tokens>, StoreError>;

    /// Acquires the exclusive right to exchange the refresh token until `until`; `false` when another process holds it,
    /// or has exchanged it already, so that `access` is no longer the stored access token. A refresh token works once, so
    /// only the holder of the right may send it.
    async fn acquire_refresh(
        &self,
        id: JiraUserId,
        access: &Secret,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores new tokens, or deletes the old ones, and releases the right to exchange them.
    async fn store_tokens(&self, id: JiraUserId, tokens: Option<&Tokens>) -> Result<(), StoreError>;

    /// Releases the right to exchange the refresh token without new tokens, because Atlassian could not be reached.
    async fn release_refresh(&self, id: JiraUserId) -> Result<(), StoreError>;

    /// Stores the data of an OAuth `state` parameter, by the hash of the parameter.
    async fn store_state(&self, hash: &str, what: &Secret, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Deletes the data of an OAuth `state` parameter and returns it, unless it has expired.
    async fn consume_state(&self, hash: &str, now: Timestamp) -> Result<Option<Secret>, StoreError>;
}

/// A user of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JiraPerson {
    /// The id of the Atlassian account.
    pub account: String,
    /// The name that Jira shows.
    pub display_name: String,
}

/// What happened in a site, as far as it may request work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SiteEventKind {
    /// A comment was added.
    Commented {
        /// Jira's id of the comment.
        comment_id: String,
        /// Markdown; a mention of the server's own account is written as a mention of the app's name.
        body: String,
        /// The accounts that were mentioned with Jira's picker.
        #[serde(default)]
        mentions: Vec<String>,
    },
    /// Labels were added, or the issue came with them.
    Labeled {
        /// The labels.
        labels: Vec<String>,
    },
}

/// One event of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteEvent {
    /// Jira's name of the event.
    pub event_type: String,
    /// The issue.
    pub issue: TrackerRef,
    /// When it happened, in milliseconds since 1970; 0 when Jira does not say.
    pub timestamp: i64,
    /// Who did it; `None` for what Jira does by itself.
    pub person: Option<JiraPerson>,
    /// The kind of event. Stored under its first name, which old rows have.
    #[serde(rename = "what")]
    pub kind: SiteEventKind,
}

impl SiteEvent {
    /// The identity of the event, the same in all deliveries of it.
    pub fn identity(&self) -> String {
        let (site, issue) = (&self.issue.site, &self.issue.id);
        match &self.kind {
            SiteEventKind::Commented { comment_id, .. } => format!("comment:{site}:{comment_id}"),
            SiteEventKind::Labeled { .. } => format!("labeled:{site}:{issue}:{}", self.timestamp),
        }
    }
}

/// A delivery, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraDelivery {
    /// Jira's id of the delivery, the same in all its attempts.
    pub id: DeliveryId,
    /// The event, or the reason why it starts nothing.
    pub event: Result<SiteEvent, String>,
}

/// Decodes deliveries. Synchronous and pure.
pub trait JiraDecoder: Send + Sync {
    /// The name of the header with the signature.
    fn signature_header(&self) -> &'static str;

    /// Returns the site that a delivery claims to come from. It is read before the signature is verified, because every
    /// site has its own secret; nothing else of the body may be used.
    ///
    /// # Errors
    /// [`DecodeError::Body`] when the body names no site, or several.
    fn site(&self, body: &[u8]) -> Result<String, DecodeError>;

    /// Decodes a verified delivery of a site. `own_account` is our account there, as far as it is known.
    ///
    /// # Errors
    /// [`DecodeError`], naming the header or field.
    fn decode(
        &self,
        headers: &dyn Headers,
        body: &[u8],
        site: &str,
        own_account: Option<&str>,
    ) -> Result<JiraDelivery, DecodeError>;
}

/// An event of a site that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraEvent {
    /// Events of one issue are processed in the order of their ids.
    pub id: JiraEventId,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// Jira's id of the delivery.
    pub delivery_id: DeliveryId,
    /// The event.
    pub event: SiteEvent,
    /// When it was received.
    pub created_at: Timestamp,
}

/// An event that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJiraEvent {
    /// The event.
    pub event: JiraEvent,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// The inbox of events that wait to be processed, and the conversations that result from them.
#[async_trait]
pub trait JiraInbox: Send + Sync {
    /// Adds an event; `false` when its delivery, or one of its deduplication keys, is known. Each key has its expiry.
    async fn add_event(&self, event: &JiraEvent, keys: &[(String, Timestamp)]) -> Result<bool, StoreError>;

    /// Claims the oldest due event until `until`. An event waits until all older events of its issue are settled.
    async fn claim_event(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedJiraEvent>, StoreError>;

    /// Ends the claim on an event.
    async fn settle_event(&self, id: JiraEventId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// Returns the events that could not be processed, newest first, with their errors.
    async fn dead_events(&self, limit: u16) -> Result<Vec<(JiraEvent, String)>, StoreError>;

    /// Returns the conversations on an issue, oldest first.
    async fn conversations_on(&self, workspace: WorkspaceId, issue_id: &str) -> Result<Vec<Conversation>, StoreError>;

    /// Returns the conversations that changed last, newest first.
    async fn conversations(&self, limit: u16) -> Result<Vec<Conversation>, StoreError>;

    /// Adds a conversation or changes it. Its site, issue and user are its key: added twice, it keeps the first id.
    async fn store_conversation(&self, conversation: &Conversation) -> Result<(), StoreError>;

    /// Deletes settled events from before `before`, and deduplication keys and OAuth states that have expired at `now`.
    /// Returns how many rows.
    async fn forget_events(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError>;
}

/// Calls to sites for issues whose repository is not known yet.
///
/// The rules of [`Tracker`](crate::tracker::Tracker) apply.
#[async_trait]
pub trait JiraSites: Send + Sync {
    /// Returns the issue as it is now, with its body as Markdown.
    async fn issue_at(&self, at: &TrackerRef) -> Result<(TrackerRef, RemoteIssue), ForgeError>;

    /// Returns all comments of an issue, oldest first.
    async fn comments_at(&self, at: &TrackerRef) -> Result<Vec<Comment>, ForgeError>;

    /// Posts a comment and returns its id.
    async fn post_comment_at(&self, at: &TrackerRef, body: &OutgoingText) -> Result<String, ForgeError>;

    /// Returns the account that our comments in a site are written by.
    async fn own_account(&self, site: &str) -> Result<String, ForgeError>;
}
