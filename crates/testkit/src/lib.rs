#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a double that cannot go on ends its test")]

pub mod build;
pub mod contract;
pub mod fake;
pub mod postgres;
pub mod server;
