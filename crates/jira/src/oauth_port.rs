//! The port [`patchwright_core::jira_oauth::JiraOauth`] over the application at Atlassian.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::jira::Tokens;
use patchwright_core::jira_oauth::{self as port, AtlassianAccount, GrantedSite, JiraOauthError};

use crate::{JiraOauth, OauthError};

impl From<OauthError> for JiraOauthError {
    fn from(error: OauthError) -> Self {
        match error {
            OauthError::Denied(detail) => Self::Denied(detail),
            OauthError::Application(detail) => Self::Application(detail),
            OauthError::Unavailable(detail) => Self::Unavailable(detail),
        }
    }
}

#[async_trait]
impl port::JiraOauth for JiraOauth {
    fn redirect_uri(&self) -> &str {
        &self.options().redirect_uri
    }

    fn scopes(&self) -> &str {
        &self.options().scopes
    }

    fn authorization_url(&self, state: &str) -> Result<String, JiraOauthError> {
        Ok(Self::authorization_url(self, state)?)
    }

    async fn exchange(&self, code: &str, now: Timestamp) -> Result<Tokens, JiraOauthError> {
        Ok(Self::exchange(self, code, now).await?)
    }

    async fn sites(&self, access: &Secret) -> Result<Vec<GrantedSite>, JiraOauthError> {
        let sites = Self::sites(self, access).await?;
        Ok(sites.into_iter().map(|site| GrantedSite { cloud_id: site.cloud_id, host: site.host }).collect())
    }

    async fn account(&self, access: &Secret) -> Result<AtlassianAccount, JiraOauthError> {
        let person = self.person(access).await?;
        Ok(AtlassianAccount { account: person.account, name: person.name })
    }
}
