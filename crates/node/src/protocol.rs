//! Which versions understand each other.

use std::fmt;
use std::str::FromStr;

/// A version of the protocol between server and node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// Rises when old and new cannot work together.
    pub major: u32,
    /// Rises with every addition.
    pub minor: u32,
}

/// The version of this build.
pub const PROTOCOL: Protocol = Protocol { major: 1, minor: 0 };

/// The two sides are too far apart, or one did not say its version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Too far apart.
    #[error(
        "the node speaks version {node} of the protocol and the server {server}: they work together when the first \
         numbers are equal and the second ones differ by one at the most; update the older side"
    )]
    TooFar {
        /// The node's.
        node: Protocol,
        /// The server's.
        server: Protocol,
    },
    /// No version.
    #[error("`{0}` is no version of the protocol (two numbers, such as 1.0)")]
    Unreadable(String),
}

impl Protocol {
    /// Whether a node of this version and a server work together: a node one minor version off does, two off does not.
    ///
    /// # Errors
    /// [`ProtocolError::TooFar`].
    pub const fn check(self, server: Self) -> Result<(), ProtocolError> {
        if self.major == server.major && self.minor.abs_diff(server.minor) <= 1 {
            Ok(())
        } else {
            Err(ProtocolError::TooFar { node: self, server })
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.ok_or_else(|| ProtocolError::Unreadable(text.chars().take(40).collect()))?;
        Ok(Self { major, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_version_off_works_and_two_are_refused_with_words() {
        let server = Protocol { major: 1, minor: 4 };
        for good in ["1.3", "1.4", "1.5"] {
            assert_eq!(good.parse::<Protocol>().unwrap().check(server), Ok(()), "{good}");
        }
        for bad in ["1.2", "1.6", "2.4", "0.4"] {
            let words = bad.parse::<Protocol>().unwrap().check(server).unwrap_err().to_string();
            assert!(words.contains(bad) && words.contains("1.4") && words.contains("update"), "{words}");
        }
        assert!("1".parse::<Protocol>().is_err() && "1.x".parse::<Protocol>().is_err());
    }
}
