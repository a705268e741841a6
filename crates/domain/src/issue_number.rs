//! The two numbers of an issue.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// An issue's number for the platform's API, and the one that users see (`docs/requirements.md#r228`).
///
/// On GitHub both are the same; on GitCode the API uses the number within the repository while messages may show
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IssueNumber {
    /// The number for API calls to the platform.
    pub api: u64,
    /// The number for messages to users only.
    pub display: u64,
}

impl IssueNumber {
    /// Validates a number of a platform where both are the same.
    ///
    /// # Errors
    /// [`InvalidId`] above 2^63 - 1, which the databases cannot store.
    pub fn parse(number: u64) -> Result<Self, InvalidId> {
        if i64::try_from(number).is_ok() {
            Ok(Self::same(number))
        } else {
            Err(InvalidId::new(&number.to_string(), "an issue number"))
        }
    }

    /// Creates the number of a platform where both are the same.
    pub const fn same(number: u64) -> Self {
        Self { api: number, display: number }
    }
}

/// Formats the number for display.
impl fmt::Display for IssueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display.fmt(f)
    }
}
