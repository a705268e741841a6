//! IdempotencyKeys that may be sent again: what was answered is answered once more, and nothing is done twice.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::StoreError;

/// An answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The kind of the body.
    pub kind: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known of a request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyState {
    /// It is new, and noted now.
    New,
    /// It is being answered.
    Pending,
    /// It was answered.
    Answered(StoredResponse),
    /// The key was used for something else.
    Different,
}

/// Keeps them for a while.
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Notes that a request is being answered, unless it is known. One that has been pending since before `stale` is
    /// taken over: whoever answered it is gone.
    async fn begin_request(
        &self,
        key: &str,
        asked: &str,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<IdempotencyState, StoreError>;

    /// Keeps the answer; without one the request may be sent again as a new one.
    async fn end_request(&self, key: &str, answer: Option<StoredResponse>) -> Result<(), StoreError>;

    /// Forgets what was noted before a time. Returns how many went.
    async fn forget_requests(&self, before: Timestamp) -> Result<u64, StoreError>;
}
