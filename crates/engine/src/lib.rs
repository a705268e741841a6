#![doc = include_str!("../README.md")]

mod change;
mod control;
mod engine;
mod intake;
mod issues;
mod marker;
mod outbox;
mod pipeline;
mod prompt;
mod publish;
mod render;
mod run;
mod stage;
mod start;
pub mod text;
mod write;

pub use control::{ControlError, ManualStart, Start};
pub use engine::{AllowListMode, Engine, Ports, ReportFiles, Settings, TriggerPermission};
pub use intake::{Answer, IntakeError, TriggerLimits, Verified};
pub use issues::{IssueError, NewIssue};
pub use marker::MarkerKey;
pub use render::{commit_message, progress_comment, pull_request_body, pull_request_title, result_comment};
