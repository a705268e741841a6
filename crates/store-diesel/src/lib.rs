#![doc = include_str!("../README.md")]

mod accounts;
mod audit;
mod backup;
mod claim;
mod credentials;
mod database;
mod db;
mod forge_records;
mod idempotency;
mod jira;
mod key_check;
mod lease;
mod ledger;
mod listen;
mod migrate;
mod model_calls;
mod nodes;
mod notifications;
mod postgres;
mod queries;
mod queue;
mod repositories;
mod row;
mod schema;
mod seal;
mod sqlite;
mod stats;
mod step;
mod store;
mod task_logs;
mod template;

pub use backup::BackupError;
pub use credentials::Vault;
pub use db::{DieselStore, OpenError};
pub use queue::GroupCommit;
pub use seal::Sealer;
