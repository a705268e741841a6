//! Users of this server, their roles and the scopes of their tokens.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::UserId;
use crate::id::InvalidId;

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads the repositories that they may see; manages their own issues and jobs.
    Member,
    /// May do everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 2] = [Self::Member, Self::Admin];

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// The name for the login, in lower case, so that it is unique regardless of case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Login(String);

impl Login {
    /// The longest accepted login, in characters.
    pub const MAX_LEN: usize = 64;

    /// Parses a login.
    ///
    /// # Errors
    /// [`InvalidId`] when it is empty, longer than [`Self::MAX_LEN`], or contains anything except ASCII letters, digits
    /// and `.`, `_`, `-`, `@`, `+`: e-mail addresses are allowed, look-alike characters are not.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
        if !text.is_empty() && text.len() <= Self::MAX_LEN && text.chars().all(plain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidId::new(text, "a login (1 to 64 letters, digits and . _ - @ +)"))
        }
    }

    /// Returns the login as text.
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

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The login.
    pub login: Login,
    /// The role.
    pub role: Role,
    /// Whether the user may log in.
    pub active: bool,
    /// When the user was added.
    pub created_at: Timestamp,
}

/// The scope of a token: which of its user's rights it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read access only.
    Read,
    /// The rights of a member.
    Write,
    /// All rights of its user.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Parses the result of [`Self::as_str`].
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
