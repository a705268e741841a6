#![doc = include_str!("../README.md")]

mod branch;
mod budgeted_llm;
mod change;
mod change_form;
mod command;
mod context;
mod dialogue;
pub mod edit;
mod excerpt;
mod fix;
mod folder;
mod log_shipper;
mod prompt;
mod report_files;
mod repository;
mod run;
mod sample;
mod stage;
pub mod verification;
mod worker;

/// The actions in an answer of a model: the text form, and calls of tools.
pub mod actions {
    pub use crate::fix::actions::{Action, parse};
}

pub use change::{read_change, unified_diff};
pub use command::{Preset, builtin_presets};
pub use folder::{discard_folder, discard_leftovers, remove_folder};
pub use report_files::{NO_NUMBER, commit_message, located_files};
pub use worker::{Tools, Worker};
