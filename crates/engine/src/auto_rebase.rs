//! Pull requests whose base has moved: the server rebases their branches by itself, if it is set up to.

use patchwright_core::fault::error_chain;
use patchwright_core::forge::MergeState;
use patchwright_core::query::{IssueFilter, Queries};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::{IssueId, IssueStatus, JobId, JobStatus};

use crate::Engine;
use crate::control::ControlError;

/// When the server rebases the branch of an open pull request by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AutoRebase {
    /// Never.
    #[default]
    Off,
    /// When it conflicts with its base.
    Conflict,
    /// Then, and when the forge wants it to have the newest commits of its base.
    Behind,
}

impl AutoRebase {
    const fn applies_to(self, state: MergeState) -> bool {
        match self {
            Self::Off => false,
            Self::Conflict => matches!(state, MergeState::Conflict),
            Self::Behind => matches!(state, MergeState::Conflict | MergeState::Behind),
        }
    }
}

/// How many issues are read at once.
const PAGE_SIZE: u16 = 100;

impl Engine {
    /// Looks at all open pull requests of this server, and starts a rebase for those that need one.
    pub(crate) async fn rebase_outdated(&self, queries: &dyn Queries) {
        let mut after = None;
        loop {
            let status = Some(IssueStatus::PendingMerge);
            let filter = IssueFilter { status, after, limit: PAGE_SIZE, ..IssueFilter::default() };
            let issues = match queries.issues(filter).await {
                Ok(issues) => issues,
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "failed to look for pull requests to rebase");
                    return;
                }
            };
            let Some(last) = issues.last() else { return };
            after = Some(last.id);
            for issue in &issues {
                if let Err(error) = self.rebase_if_outdated(issue.id).await {
                    let error = self.ports.tools.redactor().redact(&error_chain(&error));
                    tracing::warn!(issue = %issue.source, error, "failed to see whether a pull request needs a rebase");
                }
            }
        }
    }

    /// Starts a rebase of the pull request of an issue if [`Settings::auto_rebase`](crate::Settings::auto_rebase) is for it, and
    /// returns the job.
    ///
    /// # Errors
    /// [`ControlError::NotMerged`] if the forge cannot be asked, [`ControlError::Store`].
    pub async fn rebase_if_outdated(&self, issue: IssueId) -> Result<Option<JobId>, ControlError> {
        // A rebase that failed is the latest job, and is not repeated.
        let latest = self.ports.store.latest_job(issue).await?.map(|job| job.value);
        let Some(job) = latest.filter(|job| job.status() == JobStatus::Succeeded) else { return Ok(None) };
        let Some(pull_request) = job.published.open_pull_request() else { return Ok(None) };
        let Some(forge) = self.ports.forges.get(&job.source.platform) else { return Ok(None) };
        let state = forge.merge_state(&job.source.repo, pull_request.number).await.map_err(ControlError::NotMerged)?;
        if !self.settings().auto_rebase.applies_to(state) {
            return Ok(None);
        }
        let actor = forge.own_login().await.map_err(ControlError::NotMerged)?;
        #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself has one lifetime")]
        let started = self.start_follow_up(&job, TriggerKind::BaseMoved, &actor, None, |start| start.rebase()).await?;
        if let Some(id) = started {
            tracing::info!(job_id = %id, after = %job.id, ?state, "the base of a pull request has moved; rebasing it");
        }
        Ok(started)
    }
}
