//! The database as the replicas of a server share it: its clock, its schema, and wake-ups.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::StoreError;

/// The database behind the stores.
#[async_trait]
pub trait Database: Send + Sync {
    /// Returns the time that all replicas agree on: the database server's, or the system time for a local file.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Returns whether the schema is the one that this version needs.
    async fn is_migrated(&self) -> Result<bool, StoreError>;

    /// Writes a row and waits until it is on disk: a database on a full or read-only disk answers every read.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// Calls `wake` whenever another process may have written work, and once after each new connection, because
    /// notifications may have been missed before it. Never returns. Nothing depends on it: a replica that polls finds the
    /// same work, only later.
    async fn listen(&self, wake: &(dyn Fn() + Send + Sync));
}
