#![doc = include_str!("../README.md")]

mod branch;
mod budgeted_llm;
mod change;
mod command;
mod context;
pub mod edit;
mod log_shipper;
mod prompt;
mod report_files;
mod run;
mod stage;
mod worker;

pub use change::read_change;
pub use command::{Preset, builtin_presets};
pub use report_files::{commit_message, located_files};
pub use run::remove_folder;
pub use worker::{Tools, Worker};
