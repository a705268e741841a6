//! Operations on issues.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use patchwright_core::audit::AuditEntry;
use patchwright_core::query::IssueFilter;
use patchwright_domain::issue::{MAX_BODY_CHARS, MAX_TITLE_CHARS};
use patchwright_domain::job::Priority;
use patchwright_domain::node::{Label, Needs, WorkCommand};
use patchwright_domain::{Issue, IssueId, IssueStatus, JobSummary, NodeId, RepositoryId, Task};
use patchwright_engine::{NewIssue, Start};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, validate};

/// The most issues of one batch.
const MAX_BATCH: usize = 10_000;
/// How many issues of a batch are started at the same time: their writes share commits, and others still find connections.
const BATCH_CONCURRENCY: usize = 24;
/// The longest instructions or command of a start, in characters.
const MAX_INSTRUCTIONS_CHARS: usize = 8_000;

/// Options of a start.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The program that makes the change instead of the built-in stages: the name of a preset, or a command line where
    /// [`ManagementOptions::allow_free_commands`](crate::ManagementOptions) is set and the caller is an administrator.
    pub command: Option<String>,
    /// Further instructions for the model.
    pub instructions: Option<String>,
    /// The node to run on.
    pub node: Option<NodeId>,
    /// Labels that the node must have.
    pub labels: Vec<String>,
    /// Whether to fail with [`ManagementError::Unavailable`] when no node is free now, instead of queueing.
    pub only_if_free: bool,
    /// The priority among the queued jobs of the repository.
    pub priority: Priority,
    /// Whether the plan must be approved before anything is changed.
    pub review_plan: bool,
}

/// The result for one issue of a batch.
#[derive(Debug)]
pub struct BatchItem {
    /// The id as it was given.
    pub id: String,
    /// The task, or why the issue was not started.
    pub result: Result<Task, ManagementError>,
}

/// Issues.
#[derive(Debug, Clone, Copy)]
pub struct Issues<'a>(pub(crate) &'a Inner);

impl Issues<'_> {
    /// Lists the issues that the caller sees, newest first.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self, principal: &Principal, filter: IssueFilter) -> Result<Vec<Issue>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        Ok(self.0.ports.queries.issues(IssueFilter { visible, ..filter }).await?)
    }

    /// Returns the newest job of each of these issues, which the caller sees.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn latest_jobs(&self, issues: &[Issue]) -> Result<HashMap<IssueId, JobSummary>, ManagementError> {
        let ids: Vec<IssueId> = issues.iter().map(|issue| issue.id).collect();
        Ok(self.0.ports.queries.latest_jobs(&ids).await?)
    }

    /// Returns how many of the issues that the caller sees have each status.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn count(&self, principal: &Principal) -> Result<HashMap<IssueStatus, u64>, ManagementError> {
        let visible = self.0.visibility(principal).await?;
        Ok(self.0.ports.queries.issue_counts(visible).await?)
    }

    /// Returns an issue.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, principal: &Principal, id: IssueId) -> Result<Issue, ManagementError> {
        let issue = self.0.engine.issue(id).await?.ok_or_else(|| ManagementError::not_found("issue"))?;
        self.0.require_visible(principal, &issue, "issue").await?;
        Ok(issue)
    }

    /// Returns the page of an issue on its forge or in Jira, if it has one on the web.
    pub fn url(&self, issue: &Issue) -> Option<String> {
        self.0.engine.issue_url(&issue.source).filter(|url| url.starts_with("http"))
    }

    /// Opens an issue on the forge of a registered repository.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for a read-only token, [`ManagementError::NotFound`] for the repository,
    /// [`ManagementError::Invalid`], [`ManagementError::Upstream`], [`ManagementError::Unavailable`].
    pub async fn open(
        &self,
        principal: &Principal,
        repository: RepositoryId,
        title: &str,
        body: &str,
    ) -> Result<Issue, ManagementError> {
        principal.require_write()?;
        let repository = self.0.ports.repositories.repository(repository).await?;
        let repository = repository.ok_or_else(|| ManagementError::not_found("repository"))?;
        if !self.0.visibility(principal).await?.includes(&repository.platform, &repository.name) {
            return Err(ManagementError::not_found("repository"));
        }
        let new = NewIssue {
            platform: repository.platform,
            repository: repository.name,
            title: check_title(title)?,
            body: check_text(body, MAX_BODY_CHARS, "text")?,
            author: principal.login().to_owned(),
            owner: principal.id(),
        };
        let audit = self.0.audit_entry(principal.login(), "issue.opened", "", "");
        Ok(self.0.engine.open_issue(new, Some(audit)).await?)
    }

    /// Changes the title or the text that jobs use; the text on the forge stays as it is.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for others than its owner and administrators,
    /// [`ManagementError::Invalid`], [`ManagementError::Conflict`] when it was changed in the meantime.
    pub async fn update(
        &self,
        principal: &Principal,
        id: IssueId,
        title: Option<&str>,
        body: Option<&str>,
    ) -> Result<Issue, ManagementError> {
        let issue = self.authorized(principal, id).await?;
        let title = title.map(check_title).transpose()?;
        let body = body.map(|body| check_text(body, MAX_BODY_CHARS, "text")).transpose()?;
        let audit = self.audit_entry(principal, "issue.edited", &issue, "");
        Ok(self.0.engine.edit_issue(issue.id, title, body, Some(audit)).await?)
    }

    /// Starts a job for an issue and returns its first task.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Invalid`],
    /// [`ManagementError::Conflict`] when a job runs or the issue is merged, [`ManagementError::Unavailable`].
    pub async fn start(
        &self,
        principal: &Principal,
        id: IssueId,
        options: StartOptions,
    ) -> Result<Task, ManagementError> {
        let issue = self.authorized(principal, id).await?;
        let instructions =
            options.instructions.map(|text| check_text(&text, MAX_INSTRUCTIONS_CHARS, "instructions")).transpose()?;
        let needs = Needs { labels: validate::labels(&options.labels)?, node: options.node };
        let start = Start {
            actor: principal.login().to_owned(),
            instructions,
            command: options.command.map(|command| self.parse_command(principal, &command)).transpose()?,
            needs,
            priority: options.priority,
            review_plan: options.review_plan,
        };
        if options.only_if_free && !self.0.engine.has_room_for(&start).await? {
            return Err(ManagementError::Unavailable("no node is free for it now".to_owned()));
        }
        let audit = self.audit_entry(principal, "issue.started", &issue, "");
        Ok(self.0.engine.start_issue(issue.id, start, Some(audit)).await?)
    }

    fn parse_command(&self, principal: &Principal, command: &str) -> Result<WorkCommand, ManagementError> {
        let command = check_text(command, MAX_INSTRUCTIONS_CHARS, "command")?;
        let command = command.trim();
        let options = &self.0.options;
        if command == WorkCommand::Rebase.to_string() {
            return Ok(WorkCommand::Rebase);
        }
        if let Some(name) = Label::parse(command).ok().filter(|name| options.presets.contains(name)) {
            return Ok(WorkCommand::Preset(name));
        }
        if !options.allow_free_commands {
            let known: Vec<&str> = options.presets.iter().map(Label::as_str).collect();
            return Err(ManagementError::Forbidden(format!(
                "`command` names a preset ({}); command lines need ALLOW_FREE_COMMANDS, and words for the model go into \
                 `instructions`",
                known.join(", ")
            )));
        }
        principal.require_admin()?;
        if command.is_empty() || command.contains('\n') {
            return Err(ManagementError::invalid("bad_command", "a command line is one line and not empty"));
        }
        Ok(WorkCommand::Free(command.to_owned()))
    }

    /// Starts many issues, and returns the result for each.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] for a read-only token, [`ManagementError::Invalid`] for more than 10,000.
    pub async fn start_batch(
        &self,
        principal: &Principal,
        ids: Vec<String>,
    ) -> Result<Vec<BatchItem>, ManagementError> {
        principal.require_write()?;
        if ids.len() > MAX_BATCH {
            return Err(ManagementError::invalid("too_many", format!("a batch has at most {MAX_BATCH} issues")));
        }
        let starts = ids.into_iter().map(|id| async move {
            let result = match id.parse::<IssueId>() {
                Ok(issue) => self.start(principal, issue, StartOptions::default()).await,
                Err(_) => Err(ManagementError::not_found("issue")),
            };
            BatchItem { id, result }
        });
        Ok(futures_util::stream::iter(starts).buffered(BATCH_CONCURRENCY).collect().await)
    }

    /// Cancels all open jobs of an issue.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when none is open.
    pub async fn cancel(&self, principal: &Principal, id: IssueId) -> Result<Issue, ManagementError> {
        let issue = self.authorized(principal, id).await?;
        let audit = self.audit_entry(principal, "issue.cancelled", &issue, "");
        Ok(self.0.engine.cancel_issue(issue.id, Some(audit)).await?)
    }

    /// Marks an issue as merged; with `on_forge` its pull request is merged there first.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when no pull
    /// request is open or the forge refuses the merge, [`ManagementError::Upstream`].
    pub async fn merge(&self, principal: &Principal, id: IssueId, on_forge: bool) -> Result<Issue, ManagementError> {
        let issue = self.authorized(principal, id).await?;
        let audit = self.audit_entry(principal, "issue.merged", &issue, if on_forge { "on the forge" } else { "" });
        if on_forge {
            return Ok(self.0.engine.merge_pull_request(issue.id, Some(audit)).await?);
        }
        Ok(self.0.engine.merge_issue(issue.id, Some(audit)).await?)
    }

    /// Marks the pull request of an issue as ready for review on its forge: somebody has looked at it, whatever the tests
    /// show.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`], [`ManagementError::Conflict`] when no pull
    /// request is open, a job works on it, or the forge refuses.
    pub async fn mark_ready(&self, principal: &Principal, id: IssueId) -> Result<Issue, ManagementError> {
        let issue = self.authorized(principal, id).await?;
        let audit = self.audit_entry(principal, "issue.marked_ready", &issue, "");
        Ok(self.0.engine.mark_pull_request_ready(issue.id, Some(audit)).await?)
    }

    /// Returns the issue if the caller is its owner or an administrator.
    async fn authorized(&self, principal: &Principal, id: IssueId) -> Result<Issue, ManagementError> {
        let issue = self.get(principal, id).await?;
        principal.authorize_owner(issue.owner)?;
        Ok(issue)
    }

    fn audit_entry(&self, principal: &Principal, action: &str, issue: &Issue, detail: &str) -> AuditEntry {
        self.0.audit_entry(principal.login(), action, &issue.source.to_string(), detail)
    }
}

pub(crate) fn check_text(text: &str, max_chars: usize, what: &str) -> Result<String, ManagementError> {
    let text = text.replace('\0', "\u{fffd}");
    if text.chars().count() > max_chars {
        return Err(ManagementError::invalid("too_long", format!("the {what} has at most {max_chars} characters")));
    }
    Ok(text)
}

fn check_title(title: &str) -> Result<String, ManagementError> {
    if title.is_empty() {
        return Err(ManagementError::invalid("no_title", "an issue has a title"));
    }
    let title = check_text(title, MAX_TITLE_CHARS, "title")?;
    // Forges refuse a title of whitespace.
    Ok(if title.trim().is_empty() { "(untitled)".to_owned() } else { title })
}
