//! People who use this server, and what they may do.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::UserId;
use crate::id::InvalidId;

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything but secrets, people and the audit; starts and steers what is theirs.
    Member,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 2] = [Self::Member, Self::Admin];

    /// The name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// The name that a person logs in with: lower case, so that two spellings are one person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl Login {
    /// The longest login.
    pub const MAX_LEN: usize = 64;

    /// Reads a login.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than [`Self::MAX_LEN`], or holds anything but ASCII letters, digits and
    /// `.`, `_`, `-`, `@`, `+`: an e-mail address is a login too, and no two that look alike are two people.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
        if !text.is_empty() && text.len() <= Self::MAX_LEN && text.chars().all(plain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidId::new(text, "a login (1 to 64 letters, digits and . _ - @ +)"))
        }
    }

    /// The login as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Login {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<Login> for String {
    fn from(login: Login) -> Self {
        login.0
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Ours.
    pub id: UserId,
    /// What they log in with.
    pub login: Login,
    /// What they may do.
    pub role: Role,
    /// Whether they may come in at all.
    pub active: bool,
    /// When they were added.
    pub created_at: Timestamp,
}

/// How much of its person's rights a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looks only.
    Read,
    /// Whatever a member may.
    Write,
    /// Whatever its person may.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_login_are_one_person() {
        assert_eq!(Login::parse("Alice@Example.org").unwrap().as_str(), "alice@example.org");
        for bad in ["", " ", " alice", "аlice", "a b", "a/b", "<script>", &"x".repeat(65)] {
            assert!(Login::parse(bad).is_err(), "{bad:?}");
        }
    }
}
