//! What users keep for themselves: the language and theme of the pages, filters of lists.

use std::collections::BTreeMap;

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;
use crate::tokens::user_of;

/// How many names a user keeps, and how long a name and a value may be, in characters.
const MAX_PREFERENCES: u16 = 50;
const MAX_NAME_CHARS: usize = 100;
const MAX_VALUE_CHARS: usize = 1_000;

/// What users keep for themselves.
#[derive(Debug, Clone, Copy)]
pub struct Preferences<'a>(pub(crate) &'a Inner);

impl Preferences<'_> {
    /// Returns what the caller keeps, by name; nothing for the operator, who is no user.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal) -> Result<BTreeMap<String, String>, ManagementError> {
        match principal.id() {
            Some(user) => Ok(self.0.ports.accounts.preferences(user).await?),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Keeps a value for the caller, or removes it.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for the operator, [`ManagementError::Invalid`] for a name or value that is too long, or one
    /// name too many.
    pub async fn set(&self, principal: &Principal, name: &str, value: Option<&str>) -> Result<(), ManagementError> {
        let is_name = (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.contains(char::is_control);
        if !is_name || value.is_some_and(|value| value.chars().count() > MAX_VALUE_CHARS) {
            let detail =
                format!("a name has 1 to {MAX_NAME_CHARS} characters, and what is kept {MAX_VALUE_CHARS} at most");
            return Err(ManagementError::invalid("bad_preference", detail));
        }
        let user = user_of(principal)?;
        if !self.0.ports.accounts.set_preference(user, name, value, MAX_PREFERENCES).await? {
            let detail = format!("a user keeps at most {MAX_PREFERENCES} preferences and filters; remove one");
            return Err(ManagementError::invalid("too_many", detail));
        }
        Ok(())
    }
}
