//! Jira Cloud: from a signed delivery to a job on a forge (`docs/requirements.md#jira`).
//!
//! The door acknowledges what asks something of us once it is kept. What takes time — who it is, what the issue says,
//! where its code is — is found out behind it, as often as it takes. From the job on Jira is a tracker
//! like any other.

mod inbox;
mod intake;
mod messages;
mod repository;
mod templates;

use std::sync::Arc;

use patchwright_core::accounts::Accounts;
use patchwright_core::jira::{JiraDecoder, JiraInbox, JiraSites, JiraUsers, Workspaces};
use patchwright_core::repositories::Repositories;

pub use intake::JiraIntakeOutcome;
pub use templates::{Context, TemplateError, Templates};

/// Everything that Jira takes beside the other ports.
#[derive(Clone)]
pub struct JiraPorts {
    /// The sites.
    pub workspaces: Arc<dyn Workspaces>,
    /// Who is who.
    pub users: Arc<dyn JiraUsers>,
    /// What sites tell, and the conversations.
    pub inbox: Arc<dyn JiraInbox>,
    /// Asks sites.
    pub sites: Arc<dyn JiraSites>,
    /// Reads deliveries.
    pub decoder: Arc<dyn JiraDecoder>,
    /// The people of this server.
    pub accounts: Arc<dyn Accounts>,
    /// The repositories of this server.
    pub repositories: Arc<dyn Repositories>,
    /// What jobs are told.
    pub templates: Arc<Templates>,
}

impl std::fmt::Debug for JiraPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JiraPorts")
    }
}
