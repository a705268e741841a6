//! Recovering events that no webhook delivery has brought: failed deliveries, and repositories without a webhook.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::RepoName;

use crate::store::StoreError;
use crate::tracker::ForgeError;
use crate::webhook::Delivery;

/// A repository that is polled for mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledRepository {
    /// Its name on the platform.
    pub name: RepoName,
    /// When it was added: older mentions are left alone. `None` if that is not known.
    pub added_at: Option<Timestamp>,
}

/// Says which repositories of a platform are polled.
#[async_trait]
pub trait PolledRepositories: Send + Sync {
    /// Returns the repositories that are polled now.
    async fn list(&self) -> Result<Vec<PolledRepository>, StoreError>;
}

/// Recovers missed events of one platform.
#[async_trait]
pub trait Redelivery: Send + Sync {
    /// Requests the platform to send again the deliveries that failed since a time. Returns how many; they arrive at
    /// the webhook endpoint under their old ids.
    async fn redeliver(&self, since: Timestamp) -> Result<usize, ForgeError>;

    /// Returns the repositories that are polled for mentions now.
    async fn polled_repositories(&self) -> Result<Vec<PolledRepository>, StoreError>;

    /// Returns the time between two polls of a repository.
    fn poll_interval(&self) -> Duration;

    /// Returns the comments of a repository since a time that contain `mention`, as the deliveries that a webhook would
    /// have brought, oldest first, and the time to ask from next.
    async fn poll(
        &self,
        repo: &RepoName,
        since: Timestamp,
        mention: &str,
    ) -> Result<(Vec<Delivery>, Timestamp), ForgeError>;
}
