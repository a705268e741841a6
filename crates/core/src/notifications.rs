//! Notifications: the channels that users configure, and the queue of notices to deliver there.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::notification::{Channel, Notice};
use patchwright_domain::{ChannelId, EffectId, NoticeId, UserId};

use crate::audit::AuditEntry;
use crate::secret::Secret;
use crate::store::{EffectOutcome, StoreError};

/// Accepts notices for all channels that subscribe to them.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Queues a notice for every channel that subscribed to it. A notice of the same cause is queued once.
    async fn post_notice(&self, cause: EffectId, notice: &Notice) -> Result<(), StoreError>;
}

/// A notice that a sender has claimed.
#[derive(Debug, Clone)]
pub struct ClaimedNotice {
    /// The notice's id, the same in all attempts.
    pub id: NoticeId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The channel to deliver it to.
    pub channel: Channel,
    /// The secret to sign it with.
    pub secret: Option<Secret>,
    /// The notice.
    pub notice: Notice,
}

/// The store of channels and of the notices that are queued for them.
///
/// An implementation
/// * MUST encrypt a channel's secret before it is written;
/// * MUST write `audit` in the same transaction as the change, and MUST NOT write it when nothing changes.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Adds a channel.
    async fn add_channel(
        &self,
        channel: &Channel,
        secret: Option<&Secret>,
        audit: AuditEntry,
    ) -> Result<(), StoreError>;

    /// Returns the channels of a user, or all.
    async fn channels(&self, of: Option<UserId>) -> Result<Vec<Channel>, StoreError>;

    /// Returns a channel by id.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError>;

    /// Changes a channel's name and events, and its secret if one is given; `false` when it does not exist.
    async fn change_channel(
        &self,
        channel: &Channel,
        secret: Option<&Secret>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Removes a channel with its queued notices; `false` when it does not exist.
    async fn remove_channel(&self, id: ChannelId, audit: AuditEntry) -> Result<bool, StoreError>;

    /// Queues a notice for one channel, whatever it subscribed to.
    async fn try_channel(&self, id: ChannelId, notice: &Notice) -> Result<(), StoreError>;

    /// Claims the oldest due notice until `until`.
    async fn claim_notice(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedNotice>, StoreError>;

    /// Ends the claim on a notice.
    async fn settle_notice(&self, id: NoticeId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// Returns the notices that could not be delivered, newest first: id, channel and error.
    async fn dead_notices(&self, limit: u16) -> Result<Vec<(NoticeId, ChannelId, String)>, StoreError>;

    /// Deletes the settled notices that were created before a time. Returns how many.
    async fn forget_notices(&self, before: Timestamp) -> Result<u64, StoreError>;
}
