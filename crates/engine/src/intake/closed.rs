//! Handles a closed pull request of this server.

use patchwright_core::store::{DeliveryRecord, JobWrite, Step, StoreError, Versioned, Write};
use patchwright_domain::job::PullRequestEnd;
use patchwright_domain::notification::NotificationEvent;
use patchwright_domain::{Effect, IssueEvent, IssueStatus, Job, JobEvent, JobStatus, RepoName};

use super::{IntakeError, IntakeOutcome};
use crate::Engine;
use crate::change::ChangeError;

/// The reasons for which the event is ignored.
enum NotRecorded {
    Because(String),
    Store(StoreError),
}

impl From<StoreError> for NotRecorded {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Engine {
    /// Records whether a pull request of this server was merged or closed; ignores others.
    pub(super) async fn record_pull_request_end(
        &self,
        repo: &RepoName,
        head: &str,
        merged: bool,
        mut record: DeliveryRecord,
    ) -> Result<IntakeOutcome, IntakeError> {
        let ignored = |reason: &str, job_id| Ok(IntakeOutcome::Ignored { reason: reason.to_owned(), job_id });
        let Some(job) = self.ports.store.job_by_branch(&record.platform, &repo.to_string(), head).await? else {
            return ignored("no pull request of ours", None);
        };
        let (event, end, how) = if merged {
            (IssueEvent::Merge, PullRequestEnd::Merged, "merged")
        } else {
            (IssueEvent::CloseUnmerged, PullRequestEnd::Closed, "closed unmerged")
        };
        record.job_id = Some(job.value.id);
        let written = self
            .write(async || {
                let gone = |what: &str| NotRecorded::Because(what.to_owned());
                let job = self.with_pull_request(repo, head, &record).await?.ok_or_else(|| gone("the job is gone"))?;
                if job.value.status() == JobStatus::Publishing {
                    // It ends with this, and the issue follows it.
                    let ended = self.plan_change(job, JobEvent::PullRequestEnded { end }, None, None).await;
                    let (step, _) = ended.map_err(|error| match error {
                        ChangeError::Store(error) => NotRecorded::Store(error),
                        error => NotRecorded::Because(error.to_string()),
                    })?;
                    return Ok((Step { delivery: Some(record.clone()), ..step }, ""));
                }
                let known = self.ports.store.issue(job.value.issue_id).await?;
                let known = known.ok_or_else(|| gone("the issue is gone"))?;
                let now = self.ports.clock.now();
                // While a follow-up is running, the issue stays in progress; the end of the follow-up records how the
                // pull request ended.
                let is_busy = known.value.status == IssueStatus::Processing
                    && self
                        .ports
                        .store
                        .open_jobs(known.value.id)
                        .await?
                        .iter()
                        .any(|open| open.value.id != job.value.id);
                let issue = if is_busy { None } else { known.value.advance(event, now).ok() };
                let also = if issue.is_some() { "" } else { "; the issue is past that already" };
                let issue = issue.map(|value| Write::Update(Versioned { value, revision: known.revision }));
                let ended = job.value.clone().advance(JobEvent::PullRequestEnded { end }, now);
                let (value, effects) = ended.map_err(|refused| NotRecorded::Because(refused.to_string()))?;
                let notification = (merged && issue.is_some())
                    .then_some(Effect::Notify { event: NotificationEvent::PullRequestMerged });
                let effects = self.records(&value, effects.into_iter().chain(notification).collect(), now);
                let job = Some(JobWrite::update(&job, value));
                let step = Step { delivery: Some(record.clone()), issue, job, effects, ..Step::default() };
                Ok((step, also))
            })
            .await;
        match written {
            Ok(also) => ignored(&format!("noted: the pull request was {how}{also}"), record.job_id),
            Err(NotRecorded::Store(StoreError::Repeated { .. })) => {
                ignored(&format!("noted: the pull request was {how}"), record.job_id)
            }
            Err(NotRecorded::Because(what)) => ignored(&what, record.job_id),
            Err(NotRecorded::Store(error)) => Err(error.into()),
        }
    }

    /// Returns the newest job of the branch that has a pull request.
    async fn with_pull_request(
        &self,
        repo: &RepoName,
        head: &str,
        record: &DeliveryRecord,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        match self.ports.store.job_by_branch(&record.platform, &repo.to_string(), head).await? {
            Some(job) => self.with_own_state(job).await,
            None => Ok(None),
        }
    }
}
