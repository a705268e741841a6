//! Contract suites: every implementation of a port passes them, the fakes first.

pub mod accounts;
pub mod audit;
pub mod credentials;
pub mod forge;
pub mod jira;
pub mod nodes;
pub mod notifications;
pub mod repositories;
pub mod store;
pub mod stored_settings;
