//! Jira Cloud: what is kept of its sites, and what is asked of them before it is known where the code is. (From then on it
//! is a [`Tracker`](crate::tracker::Tracker) like any other.)

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::jira::{Conversation, JiraUser, ProjectRepository, Workspace};
use patchwright_domain::{DeliveryId, JiraEventId, JiraUserId, TrackerRef, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::store::{EffectOutcome, StoreError};
use crate::tracker::{Comment, ForgeError, RemoteIssue};
use crate::webhook::{DecodeError, Headers};

/// What a site is reached with, and what it signs with. Sealed where it is kept.
#[derive(Debug, Clone)]
pub struct WorkspaceSecrets {
    /// What deliveries are signed with: the present one first, then the one before it.
    pub webhook: Vec<Secret>,
    /// The service account's address and API key.
    pub service_account: Option<(String, Secret)>,
}

/// What a person let us do in their name.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For calls.
    pub access: Secret,
    /// Until when.
    pub expires_at: Timestamp,
    /// For the next pair of tokens; works once. Without `offline_access` there is none.
    pub refresh: Option<Secret>,
}

/// Keeps the sites.
#[async_trait]
pub trait Workspaces: Send + Sync {
    /// Adds one; `false` when there is one of that name.
    async fn add_workspace(&self, workspace: &Workspace, secrets: &WorkspaceSecrets) -> Result<bool, StoreError>;

    /// All, by name.
    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError>;

    /// One.
    async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// One by name, with its secrets.
    async fn open_workspace(&self, name: &str) -> Result<Option<(Workspace, WorkspaceSecrets)>, StoreError>;

    /// Changes one, and its secrets where there are new ones; `false` when it is not there.
    async fn change_workspace(
        &self,
        workspace: &Workspace,
        secrets: Option<&WorkspaceSecrets>,
    ) -> Result<bool, StoreError>;

    /// Notes what was found out about one, and nothing else of it: Atlassian's id, and whose comments are ours.
    async fn learn(&self, id: WorkspaceId, cloud_id: Option<&str>, own_account: Option<&str>)
    -> Result<(), StoreError>;

    /// Where the code of its projects is, by project.
    async fn projects(&self, id: WorkspaceId) -> Result<Vec<ProjectRepository>, StoreError>;

    /// Says where the code of a project is.
    async fn set_project(&self, id: WorkspaceId, project: &ProjectRepository) -> Result<(), StoreError>;

    /// Forgets that; `false` when nothing was said.
    async fn remove_project(&self, id: WorkspaceId, project: &str) -> Result<bool, StoreError>;
}

/// A link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The account is linked to another person.
    #[error("this Atlassian account is linked to another person of this server; they unlink it first")]
    AccountTaken,
    /// The person has linked another account.
    #[error("you have linked another account of this site; unlink it first")]
    OtherAccount,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps who is who.
#[async_trait]
pub trait JiraUsers: Send + Sync {
    /// Makes a link, or makes it anew with its old id. One person has one active link to a site, and one account is one
    /// person's.
    async fn link(&self, link: &JiraUser, tokens: Option<&Tokens>) -> Result<JiraUser, LinkError>;

    /// The links of a person, or all.
    async fn links(&self, of: Option<UserId>) -> Result<Vec<JiraUser>, StoreError>;

    /// One.
    async fn jira_user(&self, id: JiraUserId) -> Result<Option<JiraUser>, StoreError>;

    /// The active link of an account.
    async fn linked(&self, workspace: WorkspaceId, account: &str) -> Result<Option<JiraUser>, StoreError>;

    /// Ends a link and forgets its tokens; `false` when it is not active.
    async fn unlink(&self, id: JiraUserId, now: Timestamp) -> Result<bool, StoreError>;

    /// What a person let us do.
    async fn tokens(&self, id: JiraUserId) -> Result<Option<Tokens>, StoreError>;

    /// Takes the right to exchange the refresh token until a time, unless somebody has it or has just used it: then these
    /// are no longer the tokens of `access`. A refresh token works once, so that only its holder may send it.
    async fn acquire_refresh(
        &self,
        id: JiraUserId,
        access: &Secret,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Keeps new tokens, or forgets the old ones, and gives the right back.
    async fn keep_tokens(&self, id: JiraUserId, tokens: Option<&Tokens>) -> Result<(), StoreError>;

    /// Gives the right back without new tokens: Atlassian could not be reached.
    async fn release_refresh(&self, id: JiraUserId) -> Result<(), StoreError>;

    /// Keeps what belongs to a state that went out with a person's browser. `hash` is that of the state.
    async fn keep_state(&self, hash: &str, what: &Secret, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Takes it, once.
    async fn consume_state(&self, hash: &str, now: Timestamp) -> Result<Option<Secret>, StoreError>;
}

/// Who did something in a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JiraPerson {
    /// The account.
    pub account: String,
    /// The name that is shown.
    pub display_name: String,
}

/// What happened in a site, as far as it may ask something of us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SiteEventKind {
    /// Somebody commented.
    Commented {
        /// The comment.
        comment_id: String,
        /// Markdown; a mention of our own account reads as one of our name.
        body: String,
        /// The accounts that were picked from Jira's list.
        #[serde(default)]
        mentions: Vec<String>,
    },
    /// Labels were added, or the issue came with them.
    Labeled {
        /// Which ones.
        labels: Vec<String>,
    },
}

/// One thing that a site told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteEvent {
    /// Jira's name of the event.
    pub event_type: String,
    /// The issue.
    pub issue: TrackerRef,
    /// When, in Jira's milliseconds; 0 when it does not say.
    pub timestamp: i64,
    /// Who did it; none for what Jira does by itself.
    pub person: Option<JiraPerson>,
    /// The kind of event. Stored under its first name, which old rows have.
    #[serde(rename = "what")]
    pub kind: SiteEventKind,
}

impl SiteEvent {
    /// What was done, whatever delivery tells it. Within one site.
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
    /// Jira's name of it, the same over all its tries.
    pub id: DeliveryId,
    /// The event, or the reason why it starts nothing.
    pub event: Result<SiteEvent, String>,
}

/// Reads deliveries. Synchronous and pure.
pub trait JiraDecoder: Send + Sync {
    /// The header with the signature.
    fn signature_header(&self) -> &'static str;

    /// The site that a delivery says it comes from. Read before the signature is checked, because every site has a secret of
    /// its own: nothing else may be believed.
    ///
    /// # Errors
    /// [`DecodeError::Body`] when it names none, or several.
    fn site(&self, body: &[u8]) -> Result<String, DecodeError>;

    /// Reads a verified delivery of a site. `own_account` is ours there, as far as it is known.
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

/// Something that a site told and that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraEvent {
    /// Ours.
    pub id: JiraEventId,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// Jira's name of the delivery.
    pub delivery_id: DeliveryId,
    /// The event.
    pub event: SiteEvent,
    /// When it came.
    pub created_at: Timestamp,
}

/// An event that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJiraEvent {
    /// The event.
    pub event: JiraEvent,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// Keeps what sites tell until it is dealt with, and the conversations that come of it.
#[async_trait]
pub trait JiraInbox: Send + Sync {
    /// Keeps an event; `false` when the delivery, or one of the names, is known. Names are known until a time.
    async fn add_event(&self, event: &JiraEvent, names: &[(String, Timestamp)]) -> Result<bool, StoreError>;

    /// Takes the oldest due event such that no older one of its issue waits, and holds it until a time.
    async fn claim_event(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedJiraEvent>, StoreError>;

    /// Ends the hold on an event.
    async fn settle_event(&self, id: JiraEventId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// What could not be dealt with, newest first, and why.
    async fn dead_events(&self, limit: u16) -> Result<Vec<(JiraEvent, String)>, StoreError>;

    /// The conversations on an issue, oldest first.
    async fn conversations_on(&self, workspace: WorkspaceId, issue_id: &str) -> Result<Vec<Conversation>, StoreError>;

    /// The last conversations, newest first.
    async fn conversations(&self, limit: u16) -> Result<Vec<Conversation>, StoreError>;

    /// Begins a conversation, or changes it. Two that begin the same one at once end up with one.
    async fn keep_conversation(&self, conversation: &Conversation) -> Result<(), StoreError>;

    /// Forgets events that were dealt with, and names, before a time. Returns how many rows went.
    async fn forget_events(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError>;
}

/// Asks sites about issues whose code is not known yet.
///
/// The rules of [`Tracker`](crate::tracker::Tracker) hold.
#[async_trait]
pub trait JiraSites: Send + Sync {
    /// The issue as it is now; its body as Markdown.
    async fn issue_at(&self, at: &TrackerRef) -> Result<(TrackerRef, RemoteIssue), ForgeError>;

    /// All comments, oldest first.
    async fn comments_at(&self, at: &TrackerRef) -> Result<Vec<Comment>, ForgeError>;

    /// Writes a comment and returns its id.
    async fn post_comment_at(&self, at: &TrackerRef, body: &str) -> Result<String, ForgeError>;

    /// The account that our comments there are written by.
    async fn own_account(&self, site: &str) -> Result<String, ForgeError>;
}
