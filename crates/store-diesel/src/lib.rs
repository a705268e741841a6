#![doc = include_str!("../README.md")]

mod accounts;
mod backup;
mod claim;
mod db;
mod forge_records;
mod ledger;
mod listen;
mod management;
mod migrate;
mod postgres;
mod queries;
mod queue;
mod row;
mod schema;
mod sqlite;
mod stats;
mod step;
mod store;
mod template;

pub use backup::BackupError;
pub use db::{DieselStore, OpenError};
pub use queue::GroupCommit;
