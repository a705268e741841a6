#![doc = include_str!("../README.md")]

mod client;
mod desk;
mod gate;
mod health;
mod identity;
mod listen;
mod node;
mod protocol;
mod push;
mod reports;
mod signature;
pub mod wire;

pub use client::{ClientError, ServerClient};
pub use gate::{GateOptions, LoopbackGate};
pub use identity::{Identity, IdentityError};
pub use node::{Node, NodeError, NodeOptions};
pub use protocol::{PROTOCOL, Protocol, ProtocolError};
pub use push::{PushAnswer, PushClient};
pub use signature::DispatchKey;
