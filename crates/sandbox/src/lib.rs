#![doc = include_str!("../README.md")]

mod ecosystem;
mod process;
mod report;
mod runner;
mod tree_snapshot;

pub use runner::{ProcessSandbox, SandboxOptions, SandboxPolicy};
