//! Jira Cloud: the sites that this server is linked to, and the people and conversations there (`docs/requirements.md#jira`).

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
    /// It is.
    Active,
    /// It is kept, and nothing comes of what it sends.
    Inactive,
}

impl LinkStatus {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    /// The name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A Jira site that this server is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Ours.
    pub id: WorkspaceId,
    /// The site's host, such as `acme.atlassian.net`.
    pub name: String,
    /// Atlassian's id of it; known once somebody has linked their account, or an administrator has said it.
    pub cloud_id: Option<String>,
    /// Who may change it and its secrets.
    pub admin: UserId,
    /// Whether what it sends is taken.
    pub status: LinkStatus,
    /// The account that our comments are written by, as far as it is known.
    pub own_account: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Reads a site's name: its host in lower case.
///
/// # Errors
/// [`InvalidId`] when it is no host's name.
pub fn site_name(text: &str) -> Result<String, InvalidId> {
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        let fits = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        fits && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(InvalidId::new(text, "a site (a host's name, such as acme.atlassian.net)"))
    }
}

/// Where the code of a Jira project is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRepository {
    /// The project's key, such as `PROJ`.
    pub project: String,
    /// The forge.
    pub platform: PlatformId,
    /// The repository there.
    pub repo: RepoName,
}

/// A person of this server and their account in a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraUser {
    /// Ours.
    pub id: JiraUserId,
    /// The person.
    pub user_id: UserId,
    /// The Atlassian account. Names and addresses change and may be hidden; this stays.
    pub account: String,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// The name at Atlassian when the link was made, for people.
    pub display_name: String,
    /// Whether what they ask for is done.
    pub status: LinkStatus,
    /// When it was first made.
    pub created_at: Timestamp,
    /// When it was last made or ended.
    pub updated_at: Timestamp,
}

/// What one linked person and we say to each other on one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Ours.
    pub id: ConversationId,
    /// The site.
    pub workspace_id: WorkspaceId,
    /// Jira's id of the issue.
    pub issue_id: String,
    /// Its key, as it was last told.
    pub issue_key: String,
    /// With whom.
    pub jira_user_id: JiraUserId,
    /// Where the code is, once that is known.
    pub repository: Option<(PlatformId, RepoName)>,
    /// What was asked for and waits until the repository is named.
    pub asked: Option<Asked>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A wish whose repository was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was said.
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
