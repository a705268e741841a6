//! What an administrator decided about one repository.

use serde::{Deserialize, Serialize};

use crate::sandbox_grants::{InvalidGrant, SandboxGrants};

/// The longest test command, in characters.
pub const MAX_TEST_COMMAND: usize = 2_000;
/// The most follow-ups that failing checks of the forge's CI may start one after the other.
pub const MAX_CI_ROUNDS: u32 = 5;

/// What an administrator decided about one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepositorySettings {
    /// A command that runs all tests, in place of the suites that are found or that the repository names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
    /// How often in a row failing checks of the forge's CI start a follow-up. The output of the CI, which whoever can run it
    /// writes, is then given to the model.
    pub ci_rounds: u32,
    /// What its code may do in the sandbox beyond the rules.
    #[serde(skip_serializing_if = "SandboxGrants::is_empty")]
    pub sandbox: SandboxGrants,
}

/// A setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositorySettings {
    /// The test command is too long or has more than one line.
    #[error("a test command is one line of {MAX_TEST_COMMAND} characters at most")]
    TestCommand,
    /// There are too many rounds.
    #[error("`ci_rounds` is {MAX_CI_ROUNDS} at most")]
    CiRounds,
    /// A grant cannot be used.
    #[error(transparent)]
    Grant(#[from] InvalidGrant),
}

impl RepositorySettings {
    /// Returns the settings if they can be used, without the spaces around the command; an empty command is none.
    ///
    /// # Errors
    /// [`InvalidRepositorySettings`], by setting.
    pub fn checked(self) -> Result<Self, InvalidRepositorySettings> {
        let test_command = self.test_command.map(|command| command.trim().to_owned()).filter(|text| !text.is_empty());
        let is_usable =
            |command: &String| command.chars().count() <= MAX_TEST_COMMAND && !command.chars().any(char::is_control);
        if !test_command.as_ref().is_none_or(is_usable) {
            return Err(InvalidRepositorySettings::TestCommand);
        }
        if self.ci_rounds > MAX_CI_ROUNDS {
            return Err(InvalidRepositorySettings::CiRounds);
        }
        Ok(Self { test_command, sandbox: self.sandbox.checked()?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        let with = |command: &str| {
            RepositorySettings { test_command: Some(command.to_owned()), ..RepositorySettings::default() }.checked()
        };
        assert_eq!(with("  make check ").unwrap().test_command.as_deref(), Some("make check"));
        assert_eq!(with("  ").unwrap().test_command, None);
        assert_eq!(with("make\nrm -rf x"), Err(InvalidRepositorySettings::TestCommand));
        assert_eq!(with(&"x".repeat(MAX_TEST_COMMAND + 1)), Err(InvalidRepositorySettings::TestCommand));
        let rounds = RepositorySettings { ci_rounds: MAX_CI_ROUNDS + 1, ..RepositorySettings::default() };
        assert_eq!(rounds.checked(), Err(InvalidRepositorySettings::CiRounds));
    }
}
