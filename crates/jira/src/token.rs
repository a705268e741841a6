//! Access tokens of users. A refresh token works once, so one process refreshes and the others wait for its result.

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

/// How long before its end a token is refreshed.
const RENEWAL_MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// The lease of a refresh; longer than the time limit of the call.
const REFRESH_LEASE: SignedDuration = SignedDuration::from_secs(40);
/// How often the result of another process's refresh is polled: 15 s in all.
const MAX_POLLS: u32 = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(150);

pub(crate) fn store_unavailable(error: &StoreError) -> ForgeError {
    ForgeError::Unavailable { platform: JIRA, detail: error.to_string() }
}

fn denied(detail: &str) -> ForgeError {
    ForgeError::Unauthorized { platform: JIRA, detail: detail.to_owned() }
}

impl JiraCloud {
    /// Returns an access token of a user that is valid for at least a minute. `refused` is a token that Jira has just
    /// refused and that is refreshed although it looks valid.
    ///
    /// # Errors
    /// [`ForgeError::Unauthorized`] if the user must consent again, [`ForgeError::Unavailable`] if Atlassian or the
    /// store fails or another process does not complete its refresh.
    pub async fn token(&self, person: JiraUserId, refused: Option<&Secret>) -> Result<Secret, ForgeError> {
        for _ in 0..MAX_POLLS {
            let tokens = self.records.users.tokens(person).await.map_err(|error| store_unavailable(&error))?;
            let tokens = tokens.ok_or_else(|| denied("the account is no longer linked"))?;
            let is_fresh = tokens.expires_at.duration_since(self.clock.now()) > RENEWAL_MARGIN;
            if is_fresh && refused.is_none_or(|refused| !refused.matches(tokens.access.expose())) {
                return Ok(tokens.access);
            }
            let (Some(oauth), Some(refresh)) = (&self.oauth, &tokens.refresh) else {
                self.records.users.store_tokens(person, None).await.map_err(|error| store_unavailable(&error))?;
                return Err(denied("the token has expired and cannot be refreshed (scope offline_access)"));
            };
            if let Some(token) = self.refresh(person, oauth, &tokens, refresh).await? {
                return Ok(token);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let detail = "another process refreshes the token and does not finish".to_owned();
        Err(ForgeError::Unavailable { platform: JIRA, detail })
    }

    /// Exchanges the refresh token. Returns `None` if another process holds the lease.
    async fn refresh(
        &self,
        person: JiraUserId,
        oauth: &JiraOauth,
        tokens: &Tokens,
        refresh: &Secret,
    ) -> Result<Option<Secret>, ForgeError> {
        let users = &self.records.users;
        let now = self.clock.now();
        let until = now.saturating_add(REFRESH_LEASE).unwrap_or(now);
        if !users
            .acquire_refresh(person, &tokens.access, now, until)
            .await
            .map_err(|error| store_unavailable(&error))?
        {
            return Ok(None);
        }
        match oauth.refresh(refresh, now).await {
            Ok(mut new) => {
                // Without a new refresh token the old one stays valid.
                new.refresh = new.refresh.or_else(|| Some(refresh.clone()));
                // Stored before it is used, because a crash in between would lose it.
                users.store_tokens(person, Some(&new)).await.map_err(|error| store_unavailable(&error))?;
                Ok(Some(new.access))
            }
            Err(OauthError::Denied(detail)) => {
                tracing::warn!(link = %person, detail, "failed to refresh a token, the account must be linked again");
                users.store_tokens(person, None).await.map_err(|error| store_unavailable(&error))?;
                Err(denied(&detail))
            }
            Err(error) => {
                users.release_refresh(person).await.map_err(|error| store_unavailable(&error))?;
                Err(ForgeError::Unavailable { platform: JIRA, detail: error.to_string() })
            }
        }
    }
}
