//! Writing against others: read, decide, write, and once more when somebody else wrote first.

use patchwright_core::store::{Step, StoreError};

use crate::Engine;

/// How often a write is tried when others write the same things. Each loser knows that somebody else got on.
const TRIES: u32 = 20;

impl Engine {
    /// Writes the step that `plan` makes of things as they stand, and says what `plan` says with it.
    ///
    /// # Errors
    /// Those of `plan`, and of the store; [`StoreError::Stale`] when others were quicker every time.
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
