//! The conversation with the model about one job, kept after each step so that a killed worker does not pay for it twice.

use patchwright_domain::CommitSha;
use patchwright_domain::job::report::{FileContent, FixReport, Reproduction, Review, VerifyReport};
use serde::{Deserialize, Serialize};

use crate::llm::Message;

/// A conversation, and what it has led to so far. Secrets are masked before it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The commit that the messages show; those about another one are of no use.
    pub base: Option<CommitSha>,
    /// The messages: only the last ones are new to the model from one call to the next.
    pub messages: Vec<Message>,
    /// The attempt to fix that the messages belong to, from 0.
    pub attempt: u32,
    /// How often the model has answered in this attempt.
    pub steps: u32,
    /// The changed files so far.
    pub draft: Vec<FileContent>,
    /// Whether a test was asked for that shows the fault.
    #[serde(default)]
    pub asked_for_test: bool,
    /// What a second reader says about the draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// How often it was asked.
    #[serde(default)]
    pub reviews: u32,
    /// The last script that failed before anything was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduction: Option<Reproduction>,
    /// The best attempt before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<Attempt>>,
}

/// A complete attempt, and what the tests said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The fix.
    pub fix: FixReport,
    /// Its verification.
    pub verification: VerifyReport,
}
