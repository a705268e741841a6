//! Jira Cloud: from a signed delivery to a job on a forge (`docs/requirements.md#jira`).
//!
//! The webhook endpoint acknowledges a request once it is stored. What takes time (resolving the requester, the issue
//! and the repository) is processed afterwards, with retries. From the job on, Jira is a tracker like any other.

mod inbox;
mod intake;
mod messages;
mod repository;
mod resolution;
mod templates;

use std::sync::Arc;

use patchwright_core::accounts::Accounts;
use patchwright_core::jira::{JiraDecoder, JiraInbox, JiraSites, JiraUsers, Workspaces};
use patchwright_core::repositories::Repositories;

pub use intake::JiraIntakeOutcome;
pub use templates::{Context, TemplateError, Templates};

/// The ports that Jira needs in addition to the others.
#[derive(Clone)]
pub struct JiraPorts {
    /// The store of Jira sites.
    pub workspaces: Arc<dyn Workspaces>,
    /// The links between Jira accounts and users.
    pub users: Arc<dyn JiraUsers>,
    /// The store of received events and conversations.
    pub inbox: Arc<dyn JiraInbox>,
    /// The client of Jira's API.
    pub sites: Arc<dyn JiraSites>,
    /// The decoder of deliveries.
    pub decoder: Arc<dyn JiraDecoder>,
    /// The users of this server.
    pub accounts: Arc<dyn Accounts>,
    /// The repositories of this server.
    pub repositories: Arc<dyn Repositories>,
    /// The templates of the instructions for jobs.
    pub templates: Arc<Templates>,
}

impl std::fmt::Debug for JiraPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JiraPorts")
    }
}
