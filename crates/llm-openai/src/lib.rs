#![doc = include_str!("../README.md")]

mod answer;
mod bug_fixing;
mod client;
mod dialect;
mod fallback;
mod json_repair;
mod options;
mod record;
mod refusal;
mod stream;
mod thoughts;
mod wire;

pub use bug_fixing::{BugAnalysis, BugReport, FileChange, FixPlan};
pub use client::OpenAi;
pub use fallback::Fallback;
pub use options::{MaxTokensField, OpenAiOptions, Price};
pub use record::{Exchange, Recorded, Recording, RecordingError};
