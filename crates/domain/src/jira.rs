//! Jira Cloud: the sites that this server is linked to, and their users and conversations
//! (`docs/requirements.md#jira`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::InvalidId;
use crate::{ConversationId, JiraUserId, PlatformId, RepoName, UserId, WorkspaceId};

/// The tracker's name.
pub const JIRA: PlatformId = PlatformId::from_static("jira");

/// Whether a site or a link is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    /// It is in use.
    Active,
    /// It is stored, and its events are rejected.
    Inactive,
}

impl LinkStatus {
    /// Both states.
    pub const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A Jira site that this server is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// This server's id.
    pub id: WorkspaceId,
    /// The site's host, such as `acme.atlassian.net`.
    pub name: String,
    /// Atlassian's cloud id of it; known once a user has linked an account or an administrator has entered it.
    pub cloud_id: Option<String>,
    /// The user who may change it and its secrets.
    pub admin: UserId,
    /// Whether its deliveries are accepted.
    pub status: LinkStatus,
    /// The account that writes this server's comments, if known.
    pub own_account: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Parses a site's name and returns its host in lower case.
///
/// # Errors
/// [`InvalidId`] when it is not a host name.
pub fn site_name(text: &str) -> Result<String, InvalidId> {
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        let fits = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        fits && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    // A name without a dot, and an address, are hosts of a private network: a site is in Atlassian's cloud.
    let is_public = name.contains('.') && name.parse::<std::net::IpAddr>().is_err() && !name.ends_with(".local");
    if is_public && name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(InvalidId::new(text, "a site (a host's name, such as acme.atlassian.net)"))
    }
}

/// The repository of a Jira project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRepository {
    /// The project's key, such as `PROJ`.
    pub project: String,
    /// The forge.
    pub platform: PlatformId,
    /// The repository on the forge.
    pub repo: RepoName,
}

/// The link between a user of this server and their account of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraUser {
    /// This server's id.
    pub id: JiraUserId,
    /// The user.
    pub user_id: UserId,
    /// The id of the Atlassian account, which stays while names and e-mail addresses change and may be hidden.
    pub account: String,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// The display name at Atlassian when the link was created.
    pub display_name: String,
    /// Whether the user's requests are accepted.
    pub status: LinkStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last renewed or ended.
    pub updated_at: Timestamp,
}

/// The conversation between a linked user and this server on one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// This server's id.
    pub id: ConversationId,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// Jira's id of the issue.
    pub issue_id: String,
    /// The issue's key, as last received.
    pub issue_key: String,
    /// The user's link.
    pub jira_user_id: JiraUserId,
    /// The repository, once it is known.
    pub repository: Option<(PlatformId, RepoName)>,
    /// The request that waits until the user names the repository.
    pub asked: Option<Asked>,
    /// When it started.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A request that waits for its repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The text of the request.
    pub instructions: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_host_in_lower_case() {
        assert_eq!(site_name("Acme.Atlassian.net").unwrap(), "acme.atlassian.net");
        for bad in ["", ".", "a..b", "-a.net", "a-.net", "a_b.net", "https://a.net", "a.net/x", "a.net:1", "é.net"] {
            assert!(site_name(bad).is_err(), "{bad}");
        }
    }
}
