#![doc = include_str!("../README.md")]

mod client;
mod health;
mod identity;
mod listen;
mod model_proxy;
mod node;
mod protocol;
mod push;
mod reports;
mod signature;
mod task_session;
pub mod wire;

pub use client::{ClientError, ServerClient};
pub use identity::{Identity, IdentityError};
pub use model_proxy::{LoopbackModelProxy, ModelProxyOptions};
pub use node::{Node, NodeError, NodeOptions};
pub use protocol::{PROTOCOL, Protocol, ProtocolError};
pub use push::{PushAnswer, PushClient};
pub use signature::DispatchKey;
