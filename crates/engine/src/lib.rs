#![doc = include_str!("../README.md")]

mod admission;
mod backoff;
mod builder;
mod change;
mod ci;
pub mod clock;
mod control;
mod dispatch;
mod embedded;
mod engine;
mod follow_up;
mod intake;
mod issues;
pub mod jira;
mod marker;
mod nodes;
mod noop;
mod outbox;
mod render;
pub mod runtime;
mod start;
mod task_session;
mod write;

pub use builder::EngineBuilder;
pub use control::{ControlError, ManualStart, Start};
pub use dispatch::Dispatched;
pub use engine::{AllowListMode, Engine, PushTo, Settings, TriggerPermission};
pub use intake::{IntakeError, IntakeOutcome, TriggerLimits, Verified};
pub use issues::{IssueError, NewIssue};
pub use marker::MarkerKey;
pub use nodes::{BranchReport, NodeNews};
pub use patchwright_core::task_session::ReportFiles;
pub use patchwright_worker as worker;
pub use render::{Renderer, pull_request_title};
pub use task_session::LocalTaskSession;
