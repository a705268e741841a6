//! Optimistic concurrency: read, decide, write, and retry if another write came first.

use patchwright_core::store::{Step, StoreError};

use crate::Engine;

/// How often a conflicting write is tried. Each conflict means that another write succeeded.
const TRIES: u32 = 20;

impl Engine {
    /// Writes the step that `plan` returns for the current state, and returns the value that `plan` returns with it.
    ///
    /// # Errors
    /// Those of `plan` and of the store; [`StoreError::Stale`] if every attempt conflicted.
    pub(crate) async fn write<T, E: From<StoreError>, F: Future<Output = Result<(Step, T), E>>>(
        &self,
        mut plan: impl FnMut() -> F,
    ) -> Result<T, E> {
        let mut tries = 1;
        loop {
            let (step, value) = plan().await?;
            match self.ports.store.commit(step).await {
                Ok(()) => {
                    self.wake();
                    return Ok(value);
                }
                Err(StoreError::Stale { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
