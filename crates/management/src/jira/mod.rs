//! Jira sites, the repositories of their projects, and the Atlassian accounts of users.

mod links;
mod sites;

pub use self::sites::{CreatedWorkspace, NewWorkspace, SiteCheck, WorkspaceUpdate};

use patchwright_core::jira::JiraEvent;
use patchwright_domain::jira::Conversation;

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, JiraManagementPorts};

/// How many conversations and failed events are listed.
const MAX_LISTED: u16 = 200;

/// Jira sites and linked accounts.
#[derive(Debug, Clone, Copy)]
pub struct Jira<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) ports: &'a JiraManagementPorts,
}

impl Jira<'_> {
    /// Returns the ports, for reading their settings.
    pub const fn settings(&self) -> &JiraManagementPorts {
        self.ports
    }

    /// Lists the last conversations, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn conversations(&self, principal: &Principal) -> Result<Vec<Conversation>, ManagementError> {
        principal.require_admin()?;
        Ok(self.ports.inbox.conversations(MAX_LISTED).await?)
    }

    /// Lists the last events that could not be processed, newest first, with their errors.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn failed_events(&self, principal: &Principal) -> Result<Vec<(JiraEvent, String)>, ManagementError> {
        principal.require_admin()?;
        Ok(self.ports.inbox.dead_events(MAX_LISTED).await?)
    }
}
