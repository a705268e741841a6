//! Versions of the node protocol that work together.

use std::fmt;
use std::str::FromStr;

/// A version of the protocol between server and nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Incremented with incompatible changes.
    pub major: u32,
    /// Incremented with every addition.
    pub minor: u32,
}

/// The version of this build.
pub const NODE_PROTOCOL: Version = Version { major: 1, minor: 0 };

/// Two versions are incompatible, or one is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionMismatch {
    /// The versions are incompatible.
    #[error(
        "the node uses version {node} of the protocol and the server version {server}: the first numbers must be equal \
         and the second ones may differ by one; update the older side"
    )]
    TooFar {
        /// The node's version.
        node: Version,
        /// The server's version.
        server: Version,
    },
    /// The text is not a version.
    #[error("`{0}` is not a version of the protocol (two numbers, such as 1.0)")]
    Unreadable(String),
}

impl Version {
    /// Checks a node's version against a server's: a difference of one minor version is compatible, two are not.
    ///
    /// # Errors
    /// [`VersionMismatch::TooFar`].
    pub const fn check(self, server: Self) -> Result<(), VersionMismatch> {
        if self.major == server.major && self.minor.abs_diff(server.minor) <= 1 {
            Ok(())
        } else {
            Err(VersionMismatch::TooFar { node: self, server })
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = VersionMismatch;

    fn from_str(text: &str) -> Result<Self, VersionMismatch> {
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.ok_or_else(|| VersionMismatch::Unreadable(text.chars().take(40).collect()))?;
        Ok(Self { major, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_one_minor_number_apart_work_together_and_others_are_refused() {
        let server = Version { major: 1, minor: 4 };
        for good in ["1.3", "1.4", "1.5"] {
            assert_eq!(good.parse::<Version>().unwrap().check(server), Ok(()), "{good}");
        }
        for bad in ["1.2", "1.6", "2.4", "0.4"] {
            let message = bad.parse::<Version>().unwrap().check(server).unwrap_err().to_string();
            assert!(message.contains(bad) && message.contains("1.4") && message.contains("update"), "{message}");
        }
        assert!("1".parse::<Version>().is_err() && "1.x".parse::<Version>().is_err());
    }
}
