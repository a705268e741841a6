//! Tokens of people, refreshed once for all who need them.

use std::time::Duration;

use jiff::SignedDuration;
use patchwright_core::Secret;
use patchwright_core::forge::ForgeError;
use patchwright_core::jira::Tokens;
use patchwright_core::store::StoreError;
use patchwright_domain::JiraUserId;

use crate::cloud::JiraCloud;
use crate::oauth::OauthError;
use crate::{JIRA, JiraOauth};

/// A token that ends within this time is exchanged before it is used.
const SOON: SignedDuration = SignedDuration::from_secs(60);
/// How long the right to exchange a token is held: longer than the exchange may take.
const HOLD: SignedDuration = SignedDuration::from_secs(40);
/// How often, and after which wait each time, the outcome of somebody else's exchange is looked for.
const LOOKS: u32 = 100;
const LOOK_AFTER: Duration = Duration::from_millis(150);

pub(crate) fn unavailable(error: &StoreError) -> ForgeError {
    ForgeError::Unavailable { platform: JIRA, detail: error.to_string() }
}

fn denied(detail: &str) -> ForgeError {
    ForgeError::Unauthorized { platform: JIRA, detail: detail.to_owned() }
}

impl JiraCloud {
    /// A token of a person that is good for a while. `refused` is one that Jira has just refused.
    ///
    /// # Errors
    /// [`ForgeError::Unauthorized`] when the person must consent again, [`ForgeError::Unavailable`].
    pub async fn token(&self, person: JiraUserId, refused: Option<&Secret>) -> Result<Secret, ForgeError> {
        for _ in 0..LOOKS {
            let tokens = self.records.users.tokens(person).await.map_err(|error| unavailable(&error))?;
            let tokens = tokens.ok_or_else(|| denied("the account is not linked any more"))?;
            let fresh = tokens.expires_at.duration_since(self.clock.now()) > SOON;
            if fresh && refused.is_none_or(|refused| !refused.matches(tokens.access.expose())) {
                return Ok(tokens.access);
            }
            let (Some(oauth), Some(refresh)) = (&self.oauth, &tokens.refresh) else {
                self.records.users.store_tokens(person, None).await.map_err(|error| unavailable(&error))?;
                return Err(denied("the token has ended and cannot be refreshed (offline_access)"));
            };
            if let Some(token) = self.exchange(person, oauth, &tokens, refresh).await? {
                return Ok(token);
            }
            tokio::time::sleep(LOOK_AFTER).await;
        }
        let detail = "somebody else exchanges the token and does not finish".to_owned();
        Err(ForgeError::Unavailable { platform: JIRA, detail })
    }

    /// Exchanges the refresh token, unless somebody else is at it.
    async fn exchange(
        &self,
        person: JiraUserId,
        oauth: &JiraOauth,
        tokens: &Tokens,
        refresh: &Secret,
    ) -> Result<Option<Secret>, ForgeError> {
        let users = &self.records.users;
        let now = self.clock.now();
        let until = now.saturating_add(HOLD).unwrap_or(now);
        if !users.acquire_refresh(person, &tokens.access, now, until).await.map_err(|error| unavailable(&error))? {
            return Ok(None);
        }
        match oauth.refresh(refresh, now).await {
            Ok(mut new) => {
                // Without a new one the old one stays good.
                new.refresh = new.refresh.or_else(|| Some(refresh.clone()));
                // Kept before it is used: a crash in between would lose it.
                users.store_tokens(person, Some(&new)).await.map_err(|error| unavailable(&error))?;
                Ok(Some(new.access))
            }
            Err(OauthError::Denied(why)) => {
                tracing::warn!(link = %person, why, "Atlassian does not accept the refresh token: the person must link again");
                users.store_tokens(person, None).await.map_err(|error| unavailable(&error))?;
                Err(denied(&why))
            }
            Err(error) => {
                users.release_refresh(person).await.map_err(|error| unavailable(&error))?;
                Err(ForgeError::Unavailable { platform: JIRA, detail: error.to_string() })
            }
        }
    }
}
