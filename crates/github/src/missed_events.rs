//! Recovering missed events: the port over hooks' delivery logs and comments.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::redelivery::{PolledRepositories, PolledRepository, Redelivery};
use patchwright_core::store::StoreError;
use patchwright_core::tracker::ForgeError;
use patchwright_core::webhook::Delivery;
use patchwright_domain::RepoName;

use crate::{GithubForge, Hook};

/// Asks hooks to send failed deliveries again, and polls repositories without a webhook for mentions.
pub struct GithubRedelivery {
    forge: Arc<GithubForge>,
    hooks: Vec<Hook>,
    polled: Arc<dyn PolledRepositories>,
    poll_interval: Duration,
}

impl GithubRedelivery {
    /// Creates the adapter for these hooks and for what `polled` says.
    pub const fn new(
        forge: Arc<GithubForge>,
        hooks: Vec<Hook>,
        polled: Arc<dyn PolledRepositories>,
        poll_interval: Duration,
    ) -> Self {
        Self { forge, hooks, polled, poll_interval }
    }
}

impl std::fmt::Debug for GithubRedelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GithubRedelivery").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

#[async_trait]
impl Redelivery for GithubRedelivery {
    /// A hook that fails does not keep the others from being asked; the first error is returned at the end.
    async fn redeliver(&self, since: Timestamp) -> Result<usize, ForgeError> {
        let (mut count, mut failed) = (0, None);
        for hook in &self.hooks {
            match self.forge.redeliver(hook, since).await {
                Ok(sent) => count += sent,
                Err(error) => {
                    tracing::warn!(%error, %hook, "failed to ask for missed deliveries");
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    async fn polled_repositories(&self) -> Result<Vec<PolledRepository>, StoreError> {
        self.polled.list().await
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    async fn poll(
        &self,
        repo: &RepoName,
        since: Timestamp,
        mention: &str,
    ) -> Result<(Vec<Delivery>, Timestamp), ForgeError> {
        self.forge.comments_since(repo, since, mention).await
    }
}
