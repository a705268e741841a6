//! Telling people: where, and what is on its way.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::notification::{Channel, Notice};
use patchwright_domain::{ChannelId, EffectId, NoticeId, UserId};

use crate::secret::Secret;
use crate::store::{EffectOutcome, StoreError};

/// Takes what happened, for all who want to be told.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Puts a notice on its way to every channel that wants it. The same effect told twice is on its way once.
    async fn post_notice(&self, cause: EffectId, notice: &Notice) -> Result<(), StoreError>;
}

/// A notice that a sender holds.
#[derive(Debug, Clone)]
pub struct ClaimedNotice {
    /// Ours; the same over all tries.
    pub id: NoticeId,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Where to.
    pub channel: Channel,
    /// What it is signed with.
    pub secret: Option<Secret>,
    /// What.
    pub notice: Notice,
}

/// Keeps channels, and what is on its way to them.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Adds one. Its secret is sealed.
    async fn add_channel(&self, channel: &Channel, secret: Option<&Secret>) -> Result<(), StoreError>;

    /// Those of a person, or all.
    async fn channels(&self, of: Option<UserId>) -> Result<Vec<Channel>, StoreError>;

    /// One of them.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError>;

    /// Gives one another name and other events, and another secret where there is one; `false` when it is not there.
    async fn change_channel(&self, channel: &Channel, secret: Option<&Secret>) -> Result<bool, StoreError>;

    /// Removes one with what is on its way there; `false` when it is not there.
    async fn remove_channel(&self, id: ChannelId) -> Result<bool, StoreError>;

    /// Puts a notice on its way to one channel, whatever it wants.
    async fn try_channel(&self, id: ChannelId, notice: &Notice) -> Result<(), StoreError>;

    /// Takes the oldest due notice and holds it until a time.
    async fn claim_notice(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedNotice>, StoreError>;

    /// Ends the hold on a notice.
    async fn settle_notice(&self, id: NoticeId, outcome: EffectOutcome) -> Result<(), StoreError>;

    /// What could not be told, newest first: the notice's id, its channel, and why.
    async fn dead_notices(&self, limit: u16) -> Result<Vec<(NoticeId, ChannelId, String)>, StoreError>;

    /// Forgets what was told before a time. Returns how many notices went.
    async fn forget_notices(&self, before: Timestamp) -> Result<u64, StoreError>;
}
