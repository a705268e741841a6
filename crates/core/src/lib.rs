#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod audit;
pub mod clock;
pub mod code_index;
pub mod credentials;
pub mod fault;
pub mod forge;
pub mod git;
pub mod idempotency;
pub mod jira;
pub mod ledger;
pub mod llm;
pub mod model_calls;
pub mod model_proxy;
pub mod nodes;
pub mod notifications;
pub mod outgoing_text;
pub mod progress;
pub mod query;
pub mod records;
pub mod repositories;
pub mod sandbox;
pub mod secret;
pub mod signature;
pub mod source_tree;
pub mod stats;
pub mod store;
pub mod task_log;
pub mod task_session;
pub mod tracker;
pub mod webhook;

pub use clock::{Clock, IdSource};
pub use fault::Fault;
pub use secret::{Redactor, Secret};
pub use tokio_util::sync::CancellationToken;
