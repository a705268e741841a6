#![doc = include_str!("../README.md")]

mod client;
mod convert;
mod health;
mod identity;
mod listen;
mod model_proxy;
mod node;
mod push_client;
mod reports;
mod signature;
mod task_session;

pub use client::{ClientError, ServerClient};
pub use identity::{Identity, IdentityError};
pub use model_proxy::{LoopbackModelProxy, ModelProxyOptions};
pub use node::{Ephemeral, Node, NodeError, NodeOptions, TaskEnd};
pub use push_client::HttpNodeClient;
pub use signature::DispatchKey;
