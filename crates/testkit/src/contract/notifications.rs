//! The contract of channels.

use std::collections::BTreeSet;
use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::audit::Audit;
use patchwright_core::notifications::Channels;
use patchwright_domain::ChannelId;
use patchwright_domain::notification::{Channel, ChannelKind, NotificationEvent};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{audit_entry, start_of_time};

/// Runs the whole suite. `fresh` creates an empty store and its audit log.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = (Arc<dyn Channels>, Arc<dyn Audit>)>,
{
    let (channels, audit) = fresh().await;
    a_channel_is_changed_and_removed(channels.as_ref(), audit.as_ref()).await;
}

/// A webhook for failed jobs.
pub fn channel(n: u32) -> Channel {
    Channel {
        id: ChannelId::from_uuid(Uuid::from_u128(0xe00_0000 + u128::from(n))),
        name: format!("channel {n}"),
        kind: ChannelKind::Webhook,
        target: "https://hooks.example/1".to_owned(),
        events: BTreeSet::from([NotificationEvent::JobFailed]),
        repository: None,
        owner: None,
        created_at: start_of_time(),
    }
}

async fn a_channel_is_changed_and_removed(channels: &dyn Channels, audit: &dyn Audit) {
    let secret = Secret::new("signing secret");
    channels.add_channel(&channel(1), Some(&secret), audit_entry("channel.added")).await.unwrap();
    channels.add_channel(&channel(2), None, audit_entry("channel.added")).await.unwrap();
    assert_eq!(channels.channels(None).await.unwrap(), [channel(2), channel(1)]);
    let events = BTreeSet::from([NotificationEvent::PlanReady, NotificationEvent::JobFailed]);
    let changed = Channel { name: "renamed".to_owned(), events, ..channel(1) };
    assert!(channels.change_channel(&changed, None, audit_entry("channel.changed")).await.unwrap());
    assert_eq!(channels.channel(changed.id).await.unwrap(), Some(changed.clone()));
    assert!(!channels.change_channel(&channel(9), None, audit_entry("unknown")).await.unwrap());
    assert!(channels.remove_channel(changed.id, audit_entry("channel.removed")).await.unwrap());
    assert!(!channels.remove_channel(changed.id, audit_entry("removed twice")).await.unwrap());
    assert_eq!(channels.channels(None).await.unwrap(), [channel(2)]);
    let expected = ["channel.added", "channel.added", "channel.changed", "channel.removed"];
    assert_eq!(actions(audit).await, expected);
}
