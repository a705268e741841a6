//! Credentials of forges: for a whole forge, for one owner, or for one repository.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::id::InvalidId;
use crate::{CredentialId, PlatformId, RepoName};

/// How long before its expiry a credential causes a warning.
pub const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The repositories that a credential is for. The narrowest scope that contains a repository is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialScope {
    /// The whole forge: `*`.
    Forge,
    /// All repositories of an owner: `acme`.
    Owner(String),
    /// One repository: `acme/demo`.
    Repository(RepoName),
}

impl CredentialScope {
    /// Returns the scopes that contain a repository, the narrowest first. Names are compared without case, as forges
    /// do.
    pub fn fitting(repo: &RepoName) -> [Self; 3] {
        let repo = folded(repo);
        [Self::Repository(repo.clone()), Self::Owner(repo.owner().to_owned()), Self::Forge]
    }
}

fn folded(repo: &RepoName) -> RepoName {
    let [owner, name] = [repo.owner(), repo.name()].map(str::to_ascii_lowercase);
    RepoName::new(&owner, &name).expect("a name stays one in lower case")
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forge => f.write_str("*"),
            Self::Owner(owner) => f.write_str(owner),
            Self::Repository(repo) => write!(f, "{repo}"),
        }
    }
}

impl FromStr for CredentialScope {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "*" {
            return Ok(Self::Forge);
        }
        if text.contains('/') {
            return Ok(Self::Repository(folded(&text.parse()?)));
        }
        // An owner is valid if a repository of that owner has a valid name.
        let owner =
            RepoName::new(text, "x").map_err(|_| InvalidId::new(text, "a scope (`*`, an owner or owner/name)"))?;
        Ok(Self::Owner(folded(&owner).owner().to_owned()))
    }
}

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The credential's id.
    pub id: CredentialId,
    /// The name that users gave it.
    pub name: String,
    /// The forge.
    pub platform: PlatformId,
    /// The repositories that it is for.
    pub scope: CredentialScope,
    /// The login of its account on the forge.
    pub login: String,
    /// A hash by which users recognize the secret without seeing it.
    pub fingerprint: String,
    /// The user who added it.
    pub created_by: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its secret was last replaced.
    pub changed_at: Timestamp,
    /// When it expires, if a user entered that.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

impl Credential {
    /// Returns whether it has expired.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Returns whether it expires soon or has expired.
    pub fn expires_soon(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end.duration_since(now) <= WARN_BEFORE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written_and_the_narrowest_is_first() {
        for text in ["*", "acme", "acme/demo"] {
            assert_eq!(text.parse::<CredentialScope>().unwrap().to_string(), text);
        }
        for bad in ["", "a b", "../x", "acme/", "a/b/c/..", "-x/y z"] {
            assert!(bad.parse::<CredentialScope>().is_err(), "{bad:?}");
        }
        let fitting = CredentialScope::fitting(&"Acme/Demo".parse().unwrap());
        assert_eq!(fitting.map(|scope| scope.to_string()), ["acme/demo", "acme", "*"]);
    }
}
