//! The Job object for other services (`docs/requirements.md#r228`), exactly as specified there.

use jiff::Timestamp;
use serde::Serialize;

use super::Job;
use crate::{JobId, PlatformId};

/// The published Job object. `P` is the platform's own event, which this crate does not interpret.
#[derive(Debug, Clone, Serialize)]
pub struct JobObject<'a, P> {
    /// The job's id, a UUID.
    pub job_id: JobId,
    /// When the job was created, RFC 3339, UTC.
    pub created_at: Timestamp,
    /// The platform's name of the event, such as `issue_comment` or `Note Hook`.
    pub event_type: &'a str,
    /// `github`, `gitcode`, …
    pub platform: &'a PlatformId,
    /// The owner of the repository.
    pub owner: &'a str,
    /// The repository's name.
    pub repo: &'a str,
    /// The issue's number for API calls.
    pub issue_number: u64,
    /// The issue's number for messages.
    pub display_issue_number: u64,
    /// The issue's title, one line.
    pub issue_title: &'a str,
    /// The login of the user who triggered the job.
    pub actor: &'a str,
    /// The job's own branch.
    pub branch: &'a str,
    /// The base branch of the pull request.
    pub default_branch: &'a str,
    /// Whether an assignment triggered it.
    pub triggered_by_assignment: bool,
    /// The platform's event as received.
    pub webhook_payload: P,
}

impl Job {
    /// Returns the job in its published form.
    pub fn object<P>(&self, webhook_payload: P) -> JobObject<'_, P> {
        JobObject {
            job_id: self.id,
            created_at: self.created_at,
            event_type: &self.trigger.event_type,
            platform: &self.source.platform,
            owner: self.source.repo.owner(),
            repo: self.source.repo.name(),
            issue_number: self.source.called_number(),
            display_issue_number: self.source.number.display,
            issue_title: &self.title,
            actor: &self.trigger.actor,
            branch: self.branch.as_str(),
            default_branch: self.base_branch.as_str(),
            triggered_by_assignment: self.trigger.kind == super::TriggerKind::Assignment,
            webhook_payload,
        }
    }
}
