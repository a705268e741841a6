//! The logs of tasks.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::TaskId;

use crate::store::StoreError;

/// The longest log of one task, in bytes. The rest is not stored.
pub const MAX_LOG: u64 = 16 << 20;

/// A section of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPart {
    /// Whole chunks, unless one is larger than the requested size.
    pub text: String,
    /// The offset of the next section, in bytes.
    pub next: u64,
    /// The length of the whole log, in bytes.
    pub end: u64,
}

/// The store of task logs.
#[async_trait]
pub trait TaskLogs: Send + Sync {
    /// Appends a chunk. One with a known number is ignored, so that a chunk whose response was lost may be sent again. Text
    /// beyond [`MAX_LOG`] is dropped, and the log says so.
    async fn append_log(&self, task: TaskId, chunk: u64, text: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Reads about `max_bytes` from an offset on.
    async fn read_log(&self, task: TaskId, from: u64, max_bytes: u64) -> Result<LogPart, StoreError>;

    /// Deletes the chunks from before a time. Returns how many.
    async fn forget_logs(&self, before: Timestamp) -> Result<u64, StoreError>;
}
