#![doc = include_str!("../README.md")]

mod ecosystem;
mod process;
mod report;
mod runner;
mod tree;

pub use runner::{ProcessSandbox, SandboxOptions, SandboxPolicy};
