//! The ids of forges and trackers.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The short lower-case name of a forge or tracker: `github`, `gitcode`, `local`, `jira`.
///
/// An open newtype and not an enum, so that a new forge requires no change here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformId(Cow<'static, str>);

impl PlatformId {
    /// Creates the id of a platform from a constant.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Creates the id of a platform that was read from a row or a setting.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
