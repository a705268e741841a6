//! The operations. Every one fails with [`ClientError`]: see its variants.

use patchwright_http::Request;
use patchwright_protocol::Page;
use patchwright_protocol::audit::{AuditQuery, AuditView};
use patchwright_protocol::channels::{ChannelView, CreatedChannel, NewChannel};
use patchwright_protocol::credentials::{CredentialUpdate, CredentialView, NewCredential};
use patchwright_protocol::issues::{
    BatchResult, IssueQuery, IssueUpdate, IssueView, MergeIssue, NewIssue, StartBatch, StartIssue,
};
use patchwright_protocol::jira::{
    ConversationView, CreatedWorkspace, FailedJiraEvent, JiraStatus, LinkView, NewProjectMapping, NewWorkspace,
    ProjectMapping, WorkspaceUpdate, WorkspaceValidation, WorkspaceView,
};
use patchwright_protocol::jobs::{JobDetails, JobQuery, JobSummary, RevisePlan};
use patchwright_protocol::logs::LogPart;
use patchwright_protocol::node::{Register, Registered};
use patchwright_protocol::nodes::{DrainNode, InvitedNode, NewNode, NodeUpdate, NodeView};
use patchwright_protocol::repositories::{ImportResult, Members, NewRepository, RepositoryView};
use patchwright_protocol::stats::{StatsQuery, StatsView};
use patchwright_protocol::tasks::{TaskPublic, TaskQuery};
use patchwright_protocol::users::{CreatedToken, ForgeAccounts, NewToken, NewUser, TokenView, UserUpdate, UserView};

use crate::{Client, ClientError};

/// Issues.
#[expect(clippy::missing_errors_doc, reason = "the module says it for all operations")]
impl Client {
    /// Lists issues, newest first.
    pub async fn issues(&self, query: &IssueQuery) -> Result<Page<IssueView>, ClientError> {
        self.list("/issues", query).await
    }

    /// Returns an issue.
    pub async fn issue(&self, id: &str) -> Result<IssueView, ClientError> {
        self.get(&format!("/issues/{id}")).await
    }

    /// Opens an issue on its forge.
    pub async fn open_issue(&self, new: &NewIssue) -> Result<IssueView, ClientError> {
        self.post("/issues", new).await
    }

    /// Changes the title or the text that jobs work from.
    pub async fn update_issue(&self, id: &str, update: &IssueUpdate) -> Result<IssueView, ClientError> {
        self.patch(&format!("/issues/{id}"), update).await
    }

    /// Starts a job for an issue.
    pub async fn start_issue(&self, id: &str, options: &StartIssue) -> Result<TaskPublic, ClientError> {
        self.post(&format!("/issues/{id}/start"), options).await
    }

    /// Starts a job for each of several issues.
    pub async fn start_issues(&self, batch: &StartBatch) -> Result<BatchResult, ClientError> {
        self.post("/issues/start-batch", batch).await
    }

    /// Cancels the jobs of an issue.
    pub async fn cancel_issue(&self, id: &str) -> Result<IssueView, ClientError> {
        self.command(&format!("/issues/{id}/cancel")).await
    }

    /// Marks the pull request of an issue as ready for review.
    pub async fn mark_issue_ready(&self, id: &str) -> Result<IssueView, ClientError> {
        self.command(&format!("/issues/{id}/ready")).await
    }

    /// Marks an issue as merged, or merges its pull request.
    pub async fn merge_issue(&self, id: &str, options: &MergeIssue) -> Result<IssueView, ClientError> {
        self.post(&format!("/issues/{id}/merge"), options).await
    }
}

/// Jobs and tasks.
#[expect(clippy::missing_errors_doc, reason = "the module says it for all operations")]
impl Client {
    /// Lists jobs, newest first.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Page<JobSummary>, ClientError> {
        self.list("/jobs", query).await
    }

    /// Returns a job.
    pub async fn job(&self, id: &str) -> Result<JobDetails, ClientError> {
        self.get(&format!("/jobs/{id}")).await
    }

    /// Queues a failed job again, at the first stage that did not succeed.
    pub async fn retry_job(&self, id: &str) -> Result<JobDetails, ClientError> {
        self.command(&format!("/jobs/{id}/retry")).await
    }

    /// Approves the plan of a job.
    pub async fn approve_job(&self, id: &str) -> Result<JobDetails, ClientError> {
        self.command(&format!("/jobs/{id}/approve")).await
    }

    /// Has the plan of a job made again, as the words say.
    pub async fn revise_plan(&self, id: &str, words: &str) -> Result<JobDetails, ClientError> {
        self.post(&format!("/jobs/{id}/plan"), &RevisePlan { words: words.to_owned() }).await
    }

    /// Cancels a job.
    pub async fn cancel_job(&self, id: &str) -> Result<JobDetails, ClientError> {
        self.command(&format!("/jobs/{id}/cancel")).await
    }

    /// Lists tasks, newest first.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Page<TaskPublic>, ClientError> {
        self.list("/tasks", query).await
    }

    /// Returns a task.
    pub async fn task(&self, id: &str) -> Result<TaskPublic, ClientError> {
        self.get(&format!("/tasks/{id}")).await
    }

    /// Returns the part of a task's log that starts at an offset in bytes.
    pub async fn task_log(&self, id: &str, from: u64) -> Result<LogPart, ClientError> {
        let request = Request::get(self.url(&format!("/tasks/{id}/logs"))).query("from", from.to_string());
        let response = self.send(request).await?;
        let offset = |name: &str| response.header(name).and_then(|text| text.parse().ok());
        match (offset("x-next"), offset("x-end")) {
            (Some(next), Some(end)) => Ok(LogPart { text: response.text(), next, end }),
            _ => Err(self.invalid_response(&response)),
        }
    }
}

/// Repositories, credentials and channels.
#[expect(clippy::missing_errors_doc, reason = "the module says it for all operations")]
impl Client {
    /// Lists the registered repositories.
    pub async fn repositories(&self) -> Result<Page<RepositoryView>, ClientError> {
        self.get("/repositories").await
    }

    /// Registers a repository.
    pub async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryView, ClientError> {
        self.post("/repositories", new).await
    }

    /// Imports the open issues of a repository.
    pub async fn import_issues(&self, id: &str) -> Result<ImportResult, ClientError> {
        self.command(&format!("/repositories/{id}/sync")).await
    }

    /// Removes a repository; with `data`, also its issues, jobs, logs, prompts and statistics.
    pub async fn delete_repository(&self, id: &str, data: bool) -> Result<(), ClientError> {
        self.delete(&format!("/repositories/{id}{}", if data { "?data=true" } else { "" })).await
    }

    /// Replaces the users who are assigned to a repository.
    pub async fn set_members(&self, id: &str, members: &Members) -> Result<Members, ClientError> {
        self.put(&format!("/repositories/{id}/members"), members).await
    }

    /// Lists credentials, without their secrets.
    pub async fn credentials(&self) -> Result<Page<CredentialView>, ClientError> {
        self.get("/credentials").await
    }

    /// Adds a credential.
    pub async fn create_credential(&self, new: &NewCredential) -> Result<CredentialView, ClientError> {
        self.post("/credentials", new).await
    }

    /// Changes a credential.
    pub async fn update_credential(&self, id: &str, update: &CredentialUpdate) -> Result<CredentialView, ClientError> {
        self.patch(&format!("/credentials/{id}"), update).await
    }

    /// Deletes a credential.
    pub async fn delete_credential(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/credentials/{id}")).await
    }

    /// Lists notification channels.
    pub async fn channels(&self) -> Result<Page<ChannelView>, ClientError> {
        self.get("/notifications").await
    }

    /// Adds a channel; a generated secret is in the response, this once.
    pub async fn create_channel(&self, new: &NewChannel) -> Result<CreatedChannel, ClientError> {
        self.post("/notifications", new).await
    }

    /// Deletes a channel.
    pub async fn delete_channel(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/notifications/{id}")).await
    }

    /// Sends a test to a channel.
    pub async fn test_channel(&self, id: &str) -> Result<(), ClientError> {
        self.send_test(&format!("/notifications/{id}/test")).await
    }

    async fn send_test(&self, path: &str) -> Result<(), ClientError> {
        self.send(Request::post(self.url(path))).await.map(drop)
    }
}

/// Users, tokens and nodes.
#[expect(clippy::missing_errors_doc, reason = "the module says it for all operations")]
impl Client {
    /// Lists users.
    pub async fn users(&self) -> Result<Page<UserView>, ClientError> {
        self.get("/users").await
    }

    /// Adds a user.
    pub async fn create_user(&self, new: &NewUser) -> Result<UserView, ClientError> {
        self.post("/users", new).await
    }

    /// Replaces the accounts of a user on forges.
    pub async fn set_forge_accounts(&self, id: &str, accounts: &ForgeAccounts) -> Result<ForgeAccounts, ClientError> {
        self.put(&format!("/users/{id}/accounts"), accounts).await
    }

    /// Deletes a user.
    pub async fn delete_user(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/users/{id}")).await
    }

    /// Changes a user.
    pub async fn update_user(&self, id: &str, update: &UserUpdate) -> Result<UserView, ClientError> {
        self.patch(&format!("/users/{id}"), update).await
    }

    /// Lists the caller's tokens.
    pub async fn tokens(&self) -> Result<Page<TokenView>, ClientError> {
        self.get("/tokens").await
    }

    /// Creates a token; its secret is in the response, this once.
    pub async fn create_token(&self, new: &NewToken) -> Result<CreatedToken, ClientError> {
        self.post("/tokens", new).await
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/tokens/{id}")).await
    }

    /// Lists nodes.
    pub async fn nodes(&self) -> Result<Page<NodeView>, ClientError> {
        self.get("/nodes").await
    }

    /// Adds a node; its join token is in the response, this once.
    pub async fn create_node(&self, new: &NewNode) -> Result<InvitedNode, ClientError> {
        self.post("/nodes", new).await
    }

    /// Registers a node that cannot register itself, with its join token.
    pub async fn register_node(&self, join_token: &str, version: &str) -> Result<Registered, ClientError> {
        let register = Register {
            join_token: join_token.to_owned(),
            protocol: "1.0".to_owned(),
            version: version.to_owned(),
            capacity: 1,
            labels: Vec::new(),
        };
        self.post("/nodes/register", &register).await
    }

    /// Changes a node.
    pub async fn update_node(&self, id: &str, update: &NodeUpdate) -> Result<InvitedNode, ClientError> {
        self.patch(&format!("/nodes/{id}"), update).await
    }

    /// Drains a node, or puts it back to work.
    pub async fn drain_node(&self, id: &str, drain: &DrainNode) -> Result<NodeView, ClientError> {
        self.post(&format!("/nodes/{id}/drain"), drain).await
    }

    /// Deletes a node.
    pub async fn delete_node(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/nodes/{id}")).await
    }

    /// Counts how jobs ended and what they cost.
    pub async fn stats(&self, query: &StatsQuery) -> Result<StatsView, ClientError> {
        self.list("/stats", query).await
    }

    /// Lists the audit log, newest first.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditView>, ClientError> {
        self.list("/audit", query).await
    }
}

/// Jira.
#[expect(clippy::missing_errors_doc, reason = "the module says it for all operations")]
impl Client {
    /// Returns how Jira is configured.
    pub async fn jira_status(&self) -> Result<JiraStatus, ClientError> {
        self.get("/jira/status").await
    }

    /// Lists sites.
    pub async fn jira_sites(&self) -> Result<Page<WorkspaceView>, ClientError> {
        self.get("/jira/workspaces").await
    }

    /// Links a site; a generated webhook secret is in the response, this once.
    pub async fn create_jira_site(&self, new: &NewWorkspace) -> Result<CreatedWorkspace, ClientError> {
        self.post("/jira/workspaces", new).await
    }

    /// Changes a site.
    pub async fn update_jira_site(&self, id: &str, update: &WorkspaceUpdate) -> Result<WorkspaceView, ClientError> {
        self.patch(&format!("/jira/workspaces/{id}"), update).await
    }

    /// Checks a site with a call of its service account.
    pub async fn validate_jira_site(&self, id: &str) -> Result<WorkspaceValidation, ClientError> {
        self.get(&format!("/jira/workspaces/{id}/validate")).await
    }

    /// Lists the repositories of a site's projects.
    pub async fn jira_projects(&self, id: &str) -> Result<Page<ProjectMapping>, ClientError> {
        self.get(&format!("/jira/workspaces/{id}/projects")).await
    }

    /// Sets the repository of a project.
    pub async fn map_jira_project(
        &self,
        id: &str,
        key: &str,
        mapping: &NewProjectMapping,
    ) -> Result<ProjectMapping, ClientError> {
        self.post(&format!("/jira/workspaces/{id}/projects/{key}"), mapping).await
    }

    /// Removes the repository of a project.
    pub async fn unmap_jira_project(&self, id: &str, key: &str) -> Result<(), ClientError> {
        self.delete(&format!("/jira/workspaces/{id}/projects/{key}")).await
    }

    /// Lists linked accounts.
    pub async fn jira_links(&self) -> Result<Page<LinkView>, ClientError> {
        self.get("/jira/links").await
    }

    /// Unlinks an account.
    pub async fn unlink_jira(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/jira/links/{id}")).await
    }

    /// Lists the last conversations.
    pub async fn jira_conversations(&self) -> Result<Page<ConversationView>, ClientError> {
        self.get("/jira/conversations").await
    }

    /// Lists events that could not be processed.
    pub async fn failed_jira_events(&self) -> Result<Page<FailedJiraEvent>, ClientError> {
        self.get("/jira/failed").await
    }
}
