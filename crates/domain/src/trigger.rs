//! Commands in comments: their table and their words, and the allow-lists.
//!
//! Where in a comment a mention is live text is decided by the engine, which has the Markdown parser. This module knows
//! the words after the mention.

mod allow_lists;
mod commands;
mod instructions;
mod language;
mod words;

use serde::{Deserialize, Serialize};

pub use allow_lists::AllowLists;
pub use commands::{Allowed, COMMANDS, CommandSpec, Translated, Verb};
pub use instructions::{has_instructions, trim_instructions};
pub use language::{Language, language_of};
pub use words::{FoundVerb, find_verb, first_word, is_greeting, parse_command};

/// A command to this server in a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Fix the issue.
    Fix {
        /// The rest of the comment, as written.
        instructions: Option<String>,
    },
    /// Make a plan for the fix and wait for its approval.
    Plan {
        /// The rest of the comment, as written.
        instructions: Option<String>,
    },
    /// Approve the plan that waits.
    Approve,
    /// Move the branch of the pull request onto its base.
    Rebase,
    /// List the commands.
    Help,
    /// Show the status of the job.
    Status,
    /// Cancel the job.
    Cancel,
    /// Restart the failed job.
    Retry,
    /// Cancel the running job and fix the issue from the beginning.
    Restart {
        /// The rest of the comment, as written.
        instructions: Option<String>,
    },
    /// A mention without a known command.
    Unknown {
        /// The first word after the mention; empty if there is none.
        word: String,
    },
}

/// The longest stored instructions, in characters.
pub const MAX_INSTRUCTIONS: usize = 8_000;

impl Command {
    /// Returns the command of a verb; the instructions are dropped if the verb takes none.
    pub fn new(verb: Verb, instructions: Option<String>) -> Self {
        match verb {
            Verb::Fix => Self::Fix { instructions },
            Verb::Plan => Self::Plan { instructions },
            Verb::Approve => Self::Approve,
            Verb::Rebase => Self::Rebase,
            Verb::Retry => Self::Retry,
            Verb::Restart => Self::Restart { instructions },
            Verb::Cancel => Self::Cancel,
            Verb::Status => Self::Status,
            Verb::Help => Self::Help,
        }
    }

    /// Returns whether the command requests a job.
    pub const fn starts_job(&self) -> bool {
        matches!(self, Self::Fix { .. } | Self::Plan { .. } | Self::Rebase | Self::Restart { .. })
    }

    /// Returns whether anyone may ask it: it changes nothing.
    pub const fn is_question(&self) -> bool {
        matches!(self, Self::Help | Self::Status | Self::Unknown { .. })
    }

    /// Returns the instructions, if there are any.
    pub fn instructions(&self) -> Option<&str> {
        match self {
            Self::Fix { instructions } | Self::Plan { instructions } | Self::Restart { instructions } => {
                instructions.as_deref()
            }
            Self::Approve
            | Self::Rebase
            | Self::Help
            | Self::Status
            | Self::Cancel
            | Self::Retry
            | Self::Unknown { .. } => None,
        }
    }

    /// Returns the command with other instructions, if it takes any.
    #[must_use]
    pub fn with_instructions(self, instructions: Option<String>) -> Self {
        match self {
            Self::Fix { .. } => Self::Fix { instructions },
            Self::Plan { .. } => Self::Plan { instructions },
            Self::Restart { .. } => Self::Restart { instructions },
            other => other,
        }
    }
}
