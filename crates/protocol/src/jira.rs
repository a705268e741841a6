//! Jira sites, their projects, and the linked accounts of users.

use patchwright_domain::jira::Conversation;
use serde::{Deserialize, Serialize};

/// The link of a user to an account in a Jira site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkView {
    pub id: String,
    pub user_id: String,
    /// The Atlassian account.
    pub account_id: String,
    /// Its display name when the link was created.
    pub display_name: String,
    pub workspace_id: String,
    /// The site's host.
    pub workspace: String,
    /// `active` or `inactive`.
    pub status: String,
    pub created_at: String,
    pub updated_at: String,
}

/// The Jira settings of this server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JiraStatus {
    /// Whether users can link accounts.
    pub configured: bool,
    /// The callback address to register at Atlassian.
    pub redirect_uri: Option<String>,
    /// The scopes that users are asked for.
    pub scopes: Option<String>,
    /// `service` or `user`: the account that comments are written by.
    pub write_as: String,
    /// The webhook address to register in Jira.
    pub webhook_path: String,
}

/// Parameters of a link.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct LinkQuery {
    /// The site's host; optional when there is only one site.
    pub workspace: Option<String>,
    /// The path of this server to return to.
    pub return_to: Option<String>,
}

/// A Jira site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspaceView {
    pub id: String,
    /// Its host.
    pub name: String,
    pub cloud_id: Option<String>,
    /// The administrator who may change it.
    pub admin_id: String,
    /// `active` or `inactive`.
    pub status: String,
    /// The account that comments are written by, once known.
    pub account_id: Option<String>,
    /// Whether the caller may change it.
    pub editable: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A Jira site to link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::site))]
    pub name: String,
    /// The secret that Jira signs deliveries with. Without one it is generated and shown once.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::secret_or_null))]
    pub webhook_secret: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::account_or_null))]
    pub svc_acc_email: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::secret_or_null))]
    pub svc_acc_api_key: Option<String>,
    /// Atlassian's id of the site; discovered when a user links an account.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::cloud_id_or_null))]
    pub cloud_id: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::link_status_or_null))]
    pub status: Option<String>,
}

/// Fields of a site to change; absent fields stay as they are.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkspaceUpdate {
    /// A new secret; the previous one stays valid until the next change.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::secret_or_null))]
    pub webhook_secret: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::account_or_null))]
    pub svc_acc_email: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::secret_or_null))]
    pub svc_acc_api_key: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::cloud_id_or_null))]
    pub cloud_id: Option<String>,
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::link_status_or_null))]
    pub status: Option<String>,
    /// The new administrator.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<uuid::Uuid>))]
    pub admin_id: Option<String>,
}

/// A site with its generated secret, which is shown only once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedWorkspace {
    #[serde(flatten)]
    pub workspace: WorkspaceView,
    pub webhook_secret: Option<String>,
    /// The webhook address to register in Jira.
    pub webhook_url: Option<String>,
}

/// The result of a call to a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspaceValidation {
    pub name: String,
    /// `active` or `inactive`.
    pub status: String,
    /// Whether the service account was accepted.
    pub valid: bool,
    /// What to do when it was not.
    pub message: String,
}

/// The repository of a Jira project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectMapping {
    pub project: String,
    pub platform: String,
    pub repository: String,
}

/// Maps a Jira project to a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewProjectMapping {
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schemas::platform))]
    pub platform: String,
    /// `owner/name` of a registered repository.
    #[cfg_attr(feature = "openapi", schema(min_length = 3, max_length = 201))]
    pub repository: String,
}

/// The conversation with one user on an issue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationView {
    pub conversation_id: String,
    pub workspace_id: String,
    pub issue_id: String,
    pub issue_key: String,
    pub jira_user_id: String,
    pub platform: Option<String>,
    pub repository: Option<String>,
    /// Whether the user was asked for the repository.
    pub asked: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// An event of Jira that could not be processed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedJiraEvent {
    pub id: String,
    pub workspace_id: String,
    pub issue_key: String,
    pub event_type: String,
    pub error: String,
    pub created_at: String,
}

impl From<&Conversation> for ConversationView {
    fn from(conversation: &Conversation) -> Self {
        let (platform, repository) = conversation.repository.clone().unzip();
        Self {
            conversation_id: conversation.id.to_string(),
            workspace_id: conversation.workspace_id.to_string(),
            issue_id: conversation.issue_id.clone(),
            issue_key: conversation.issue_key.clone(),
            jira_user_id: conversation.jira_user_id.to_string(),
            platform: platform.map(|platform| platform.as_str().to_owned()),
            repository: repository.map(|repository| repository.to_string()),
            asked: conversation.asked.is_some(),
            created_at: conversation.created_at.to_string(),
            updated_at: conversation.updated_at.to_string(),
        }
    }
}

crate::debug_without_secrets!(NewWorkspace: name, WorkspaceUpdate: status, CreatedWorkspace: workspace);
