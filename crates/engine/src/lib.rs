#![doc = include_str!("../README.md")]

mod change;
mod command;
mod control;
mod desk;
mod diary;
mod dispatch;
mod embedded;
mod engine;
mod intake;
mod issues;
pub mod jira;
mod marker;
mod nodes;
mod outbox;
mod pipeline;
mod prompt;
mod publish;
mod render;
mod run;
mod stage;
mod start;
pub mod text;
mod worker;
mod write;

pub use command::{Preset, builtin_presets};
pub use control::{ControlError, ManualStart, Start};
pub use desk::EngineDesk;
pub use dispatch::Dispatched;
pub use engine::{AllowListMode, Engine, Ports, Settings, TriggerPermission};
pub use intake::{Answer, IntakeError, TriggerLimits, Verified};
pub use issues::{IssueError, NewIssue};
pub use marker::MarkerKey;
pub use nodes::{BranchReport, NodeNews};
pub use patchwright_core::desk::ReportFiles;
pub use render::{commit_message, progress_comment, pull_request_body, pull_request_title, result_comment};
pub use worker::{Tools, Worker};
