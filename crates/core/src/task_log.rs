//! What tasks said while they ran.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_domain::TaskId;

use crate::store::StoreError;

/// The most that one task may say, in bytes. What comes after it is not kept.
pub const MAX_LOG: u64 = 16 << 20;

/// A part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPart {
    /// Whole pieces, unless one is larger than what was asked for.
    pub text: String,
    /// Where the part after it begins, in bytes from the log's beginning.
    pub next: u64,
    /// How long the log is now.
    pub end: u64,
}

/// Keeps logs.
#[async_trait]
pub trait TaskLogs: Send + Sync {
    /// Adds a piece at the end. One that is there already is not written again, so that a piece whose receipt was lost
    /// may be sent once more; what comes beyond [`MAX_LOG`] is dropped, and the log says so.
    async fn append_log(&self, task: TaskId, piece: u64, text: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Reads from a place on, about `most` bytes.
    async fn read_log(&self, task: TaskId, from: u64, most: u64) -> Result<LogPart, StoreError>;

    /// Forgets what was said before a time. Returns how many pieces went.
    async fn forget_logs(&self, before: Timestamp) -> Result<u64, StoreError>;
}
