//! Strict doubles of the ports.

mod clock;
mod forge;
mod git;
mod jira;
mod llm;
mod nodes;
mod sandbox;
mod store;

/// A text without our hidden marks.
pub fn visible_text(text: &str) -> String {
    forge::visible(text)
}

pub use clock::{FakeClock, SequentialIds};
pub use forge::FakeForge;
pub use git::FakeGit;
pub use jira::FakeJira;
pub use llm::ScriptedLlm;
pub use sandbox::{FakeIndex, ScriptedSandbox, report};
pub use store::FakeStore;
