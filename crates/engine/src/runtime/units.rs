//! The units of work of a server. The loops take them, or a caller that drives a runtime by hand.

use std::sync::Arc;

use patchwright_core::CancellationToken;
use patchwright_core::store::StoreError;

use super::WorkSource;
use super::dispatch::Dispatcher;
use crate::Engine;

/// Where units of work come from. Each method does the next unit, and returns `false` when there is none.
#[derive(Clone)]
pub(super) struct Units {
    pub(super) engine: Arc<Engine>,
    pub(super) dispatcher: Option<Arc<Dispatcher>>,
    pub(super) sources: Vec<Arc<dyn WorkSource>>,
    /// Whether jobs run in this process.
    pub(super) embedded: bool,
    /// Cancelled when running jobs must go back to the queue.
    pub(super) release: CancellationToken,
}

impl Units {
    pub(super) async fn run_next_job(&self, worker: &str) -> Result<bool, StoreError> {
        self.engine.run_next(worker, &self.release).await.map(|done| done.is_some())
    }

    pub(super) async fn process_next_event(&self) -> Result<bool, StoreError> {
        self.engine.process_next_jira_event().await.map(|done| done.is_some())
    }

    pub(super) async fn admit_next_request(&self) -> Result<bool, StoreError> {
        self.engine.admit_next().await.map(|done| done.is_some())
    }

    pub(super) async fn deliver_next_effect(&self) -> Result<bool, StoreError> {
        self.engine.deliver_next().await.map(|done| done.is_some())
    }

    /// Does units until none is due, one after the other; returns how many.
    pub(super) async fn run_until_idle(&self) -> Result<usize, StoreError> {
        let mut done = 0;
        while !self.release.is_cancelled() && self.run_next().await? {
            done += 1;
        }
        Ok(done)
    }

    /// Does one unit of any kind. Jobs come last, so that what is known is said before something long begins.
    async fn run_next(&self) -> Result<bool, StoreError> {
        if self.process_next_event().await? || self.admit_next_request().await? || self.deliver_next_effect().await? {
            return Ok(true);
        }
        for source in &self.sources {
            if source.run_next().await? {
                return Ok(true);
            }
        }
        if let Some(dispatcher) = &self.dispatcher
            && dispatcher.dispatch_next().await?
        {
            return Ok(true);
        }
        Ok(self.embedded && self.run_next_job("server-manual").await?)
    }
}
