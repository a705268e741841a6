#![doc = include_str!("../README.md")]

mod claim;
mod db;
mod forge_records;
mod migrate;
mod queries;
mod row;
mod schema;
mod step;
mod store;

pub use db::{DieselStore, OpenError};
