//! Strict fakes of the ports.

mod audit;
mod clock;
mod forge;
mod git;
mod jira;
mod llm;
mod meter;
mod nodes;
mod sandbox;
mod store;

/// Returns a comment without its hidden marker.
pub fn visible_text(text: &str) -> String {
    forge::visible(text)
}

pub use clock::{FakeClock, SequentialIds};
pub use forge::FakeForge;
pub use git::FakeGit;
pub use jira::FakeJira;
pub use llm::ScriptedLlm;
pub use meter::FakeMeter;
pub use sandbox::{FakeIndex, ScriptedSandbox, report};
pub use store::FakeStore;
