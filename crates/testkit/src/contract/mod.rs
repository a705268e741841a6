//! Suites that every implementation of a port passes, the fakes first.

pub mod forge;
pub mod jira;
pub mod nodes;
pub mod store;
