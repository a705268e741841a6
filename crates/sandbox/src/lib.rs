#![doc = include_str!("../README.md")]

mod ecosystem;
mod process;
mod report;
mod runner;

pub use runner::{ProcessSandbox, SandboxOptions, SandboxPolicy};
