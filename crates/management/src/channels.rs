//! Notification channels.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use patchwright_core::Secret;
use patchwright_domain::notification::{Channel, ChannelKind, Notice, NotificationEvent};
use patchwright_domain::pattern::{CHANNEL_URL, MAILBOX};
use patchwright_domain::{ChannelId, IssueId, JobId, NoticeId, RepoName};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, validate};

/// The most channels of one user.
const MAX_CHANNELS_PER_USER: usize = 50;
/// The length of a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 1..=500;

/// A channel to create.
#[derive(Debug, Clone)]
pub struct NewChannel {
    /// A name for users.
    pub name: String,
    /// The kind.
    pub kind: ChannelKind,
    /// The address or mailbox.
    pub target: String,
    /// The events to notify of.
    pub events: BTreeSet<NotificationEvent>,
    /// Only events of this repository.
    pub repository: Option<RepoName>,
    /// Whether to notify of all issues, and not only of the caller's own.
    pub everyone: bool,
    /// The secret that messages are signed with.
    pub secret: Option<Secret>,
}

/// Fields of a channel to change; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct ChannelUpdate {
    /// A name for users.
    pub name: Option<String>,
    /// The events to notify of.
    pub events: Option<BTreeSet<NotificationEvent>>,
    /// Replaces the secret.
    pub secret: Option<Secret>,
}

/// A channel, with its secret when that was generated.
#[derive(Debug, Clone)]
pub struct CreatedChannel {
    /// The channel.
    pub channel: Channel,
    /// The generated secret.
    pub secret: Option<Secret>,
}

/// The notification channels of users.
#[derive(Debug, Clone, Copy)]
pub struct Channels<'a>(pub(crate) &'a Inner);

impl Channels<'_> {
    /// Lists the caller's channels; all for an administrator.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal) -> Result<Vec<Channel>, ManagementError> {
        match principal.id() {
            _ if principal.is_admin() => Ok(self.0.ports.channels.channels(None).await?),
            Some(id) => Ok(self.0.ports.channels.channels(Some(id)).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Returns a channel that the caller may change.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: ChannelId) -> Result<Channel, ManagementError> {
        let channel = self.0.ports.channels.channel(id).await?;
        let is_theirs =
            |channel: &Channel| principal.is_admin() || (channel.owner.is_some() && channel.owner == principal.id());
        channel.filter(is_theirs).ok_or_else(|| ManagementError::not_found("channel"))
    }

    /// Creates a channel. A webhook without a secret gets one.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for a read-only token, and for `everyone` without the administrator role;
    /// [`ManagementError::Invalid`]; [`ManagementError::Conflict`] for more channels than a user may have.
    pub async fn create(&self, principal: &Principal, new: NewChannel) -> Result<CreatedChannel, ManagementError> {
        principal.require_write()?;
        if new.everyone {
            principal.require_admin()?;
        }
        let owner = if new.everyone { None } else { principal.id() };
        if owner.is_none() && !new.everyone {
            return Err(ManagementError::forbidden("the operator has no issues of its own; set `everyone`"));
        }
        let channel = Channel {
            id: ChannelId::from_uuid(self.0.ports.ids.uuid()),
            name: validate::name(&new.name)?,
            kind: new.kind,
            target: check_target(new.kind, new.target)?,
            events: new.events,
            repository: new.repository,
            owner,
            created_at: self.0.engine.now(),
        };
        if owner.is_some() && self.0.ports.channels.channels(owner).await?.len() >= MAX_CHANNELS_PER_USER {
            let detail = format!("a user has at most {MAX_CHANNELS_PER_USER} channels");
            return Err(ManagementError::conflict("too_many", detail));
        }
        let generated = (new.kind == ChannelKind::Webhook && new.secret.is_none()).then(generate_webhook_secret);
        let secret = match new.secret {
            Some(text) => Some(self.accept_secret(text)?),
            None => generated.clone(),
        };
        let (id, kind) = (channel.id.to_string(), channel.kind.as_str());
        let entry = self.0.audit_entry(principal.login(), "notification.added", &id, kind);
        self.0.ports.channels.add_channel(&channel, secret.as_ref(), entry).await?;
        Ok(CreatedChannel { channel, secret: generated })
    }

    /// Changes a channel.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for a read-only token, [`ManagementError::Invalid`].
    pub async fn update(
        &self,
        principal: &Principal,
        id: ChannelId,
        update: ChannelUpdate,
    ) -> Result<Channel, ManagementError> {
        principal.require_write()?;
        let mut channel = self.get(principal, id).await?;
        if let Some(text) = &update.name {
            channel.name = validate::name(text)?;
        }
        if let Some(events) = update.events {
            channel.events = events;
        }
        let secret = update.secret.map(|text| self.accept_secret(text)).transpose()?;
        let detail = if secret.is_some() { "new secret" } else { "" };
        let entry = self.0.audit_entry(principal.login(), "notification.changed", &channel.id.to_string(), detail);
        if !self.0.ports.channels.change_channel(&channel, secret.as_ref(), entry).await? {
            return Err(ManagementError::not_found("channel"));
        }
        Ok(channel)
    }

    /// Deletes a channel with its queued notices.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for a read-only token.
    pub async fn delete(&self, principal: &Principal, id: ChannelId) -> Result<(), ManagementError> {
        principal.require_write()?;
        let channel = self.get(principal, id).await?;
        let entry = self.0.audit_entry(principal.login(), "notification.removed", &channel.id.to_string(), "");
        self.0.ports.channels.remove_channel(channel.id, entry).await?;
        Ok(())
    }

    /// Sends a test notice to a channel.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for a read-only token.
    pub async fn send_test(&self, principal: &Principal, id: ChannelId) -> Result<(), ManagementError> {
        principal.require_write()?;
        let channel = self.get(principal, id).await?;
        let notice = Notice {
            event: NotificationEvent::JobSucceeded,
            at: self.0.engine.now(),
            repository: "acme/test".to_owned(),
            issue_id: IssueId::from_uuid(uuid::Uuid::nil()),
            issue_number: 0,
            issue_title: "A test of this channel".to_owned(),
            issue_url: String::new(),
            owner: principal.id(),
            job_id: JobId::from_uuid(uuid::Uuid::nil()),
            verdict: None,
            reason: None,
            pull_request_url: None,
        };
        self.0.ports.channels.try_channel(channel.id, &notice).await?;
        self.0.engine.notice();
        Ok(())
    }

    /// Lists the last notices that could not be delivered, with their channel and error.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn failed(
        &self,
        principal: &Principal,
        limit: u16,
    ) -> Result<Vec<(NoticeId, ChannelId, String)>, ManagementError> {
        principal.require_admin()?;
        Ok(self.0.ports.channels.dead_notices(limit).await?)
    }

    fn accept_secret(&self, text: Secret) -> Result<Secret, ManagementError> {
        let secret = validate::secret(text, SECRET_BYTES)?;
        self.0.ports.redactor.add(&secret);
        Ok(secret)
    }
}

fn check_target(kind: ChannelKind, target: String) -> Result<String, ManagementError> {
    let fits = match kind {
        ChannelKind::Email => validate::matches(MAILBOX, &target),
        _ => validate::matches(CHANNEL_URL, &target) && url::Url::parse(&target).is_ok(),
    };
    if fits {
        return Ok(target);
    }
    let expected =
        if kind == ChannelKind::Email { "a mailbox (name@example.com)" } else { "an address (https://host/path)" };
    Err(ManagementError::invalid("bad_target", format!("the target is not {expected}")))
}

fn generate_webhook_secret() -> Secret {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    Secret::new(format!("whsec_{}", STANDARD.encode(bytes)))
}
