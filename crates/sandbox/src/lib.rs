#![doc = include_str!("../README.md")]

mod egress;
mod environment;
mod isolation;
mod options;
mod process;
mod programs;
mod registry_proxy;
mod relay;
mod report;
mod sandbox;
mod suite;
mod tree;
mod tree_snapshot;
mod workspace;

pub use options::{BackendChoice, ContainerOptions, SandboxOptions, SandboxPolicy};
pub use relay::relay;
pub use sandbox::{Diagnosis, LocalSandbox};
