//! API tokens.

use jiff::SignedDuration;
use patchwright_core::accounts::ApiToken;
use patchwright_domain::user::Scope;
use patchwright_domain::{TokenId, UserId};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, secrets, validate};

/// How many days a token is valid by default, and at most.
const DEFAULT_DAYS: u16 = 90;
const MAX_DAYS: u16 = 3650;

/// A token to create.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// A name for users.
    pub name: String,
    /// The scope: at most the rights of its creator.
    pub scope: Scope,
    /// Days until it expires, 1 to 3650; 90 by default.
    pub expires_in_days: Option<u16>,
}

/// A token with its secret, which is not stored.
#[derive(Debug, Clone)]
pub struct CreatedToken {
    /// The token.
    pub token: ApiToken,
    /// The secret.
    pub secret: patchwright_core::Secret,
}

/// The API tokens of users.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a>(pub(crate) &'a Inner);

pub(crate) fn user_of(principal: &Principal) -> Result<UserId, ManagementError> {
    principal.id().ok_or_else(|| ManagementError::forbidden("the operator of this machine is no user; log in as one"))
}

impl Tokens<'_> {
    /// Lists the caller's tokens, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for the operator.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<ApiToken>, ManagementError> {
        Ok(self.0.ports.accounts.tokens(user_of(principal)?).await?)
    }

    /// Creates a token of the caller.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for the operator, a read-only token, or a wider scope than the caller's;
    /// [`ManagementError::Invalid`].
    pub async fn create(&self, principal: &Principal, new: NewToken) -> Result<CreatedToken, ManagementError> {
        principal.require_write()?;
        let user_id = user_of(principal)?;
        let name = validate::name(&new.name)?;
        if new.scope > principal.scope() {
            return Err(ManagementError::forbidden("a token cannot create one with a wider scope"));
        }
        let days = new.expires_in_days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(ManagementError::invalid("bad_days", format!("a token expires after 1 to {MAX_DAYS} days")));
        }
        let now = self.0.ports.clock.now();
        let token = ApiToken {
            id: TokenId::from_uuid(self.0.ports.ids.uuid()),
            user_id,
            name,
            scope: new.scope,
            created_at: now,
            expires_at: now.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).ok(),
            last_used_at: None,
        };
        let secret = secrets::generate_secret("pwt_");
        let entry = self.0.audit_entry(principal.login(), "token.added", &token.name, token.scope.as_str());
        self.0.ports.accounts.add_token(&token, &secrets::hash_secret(&secret), entry).await?;
        Ok(CreatedToken { token, secret: patchwright_core::Secret::new(secret) })
    }

    /// Revokes a token of the caller.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] when the caller has no such token; [`ManagementError::Forbidden`].
    pub async fn revoke(&self, principal: &Principal, id: TokenId) -> Result<(), ManagementError> {
        principal.require_write()?;
        let entry = self.0.audit_entry(principal.login(), "token.ended", &id.to_string(), "");
        if !self.0.ports.accounts.end_token(user_of(principal)?, id, entry).await? {
            return Err(ManagementError::not_found("token"));
        }
        Ok(())
    }
}
