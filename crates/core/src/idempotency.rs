//! Idempotency keys: a request that is sent again gets the stored response, and nothing is done twice.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::StoreError;

/// The response of a request, to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The content type of the body.
    pub kind: String,
    /// The body, as it was sent.
    pub body: Vec<u8>,
}

/// The state of a request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyState {
    /// The request is new, and is recorded as pending from now on.
    New,
    /// The request is being processed.
    Pending,
    /// The request was processed.
    Answered(StoredResponse),
    /// The key was used for another request.
    Different,
}

/// The store of idempotency keys.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Records that a request is being processed, unless its key is known. One that is pending since before `stale` is taken
    /// over, because its process has ended. `asked` is a hash of the request, which tells requests of one key apart.
    async fn begin_request(
        &self,
        key: &str,
        asked: &str,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<IdempotencyState, StoreError>;

    /// Stores the response of a request; without one the key is deleted, and the request may be sent again as a new one.
    async fn end_request(&self, key: &str, answer: Option<StoredResponse>) -> Result<(), StoreError>;

    /// Deletes the keys that were recorded before a time. Returns how many.
    async fn forget_requests(&self, before: Timestamp) -> Result<u64, StoreError>;
}
