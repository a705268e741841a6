//! A pull request of ours was closed.

use patchwright_core::store::{DeliveryRecord, Step, StoreError, Versioned, Write};
use patchwright_domain::{IssueEvent, RepoName};

use super::{Answer, IntakeError, TRIES};
use crate::Engine;

impl Engine {
    /// Notes how a pull request of ours ended; others are no business of ours.
    pub(super) async fn note_closed(
        &self,
        repo: &RepoName,
        head: &str,
        merged: bool,
        mut record: DeliveryRecord,
    ) -> Result<Answer, IntakeError> {
        let ignored = |reason: &str, job_id| Ok(Answer::Ignored { reason: reason.to_owned(), job_id });
        let Some(job) = self.ports.store.job_by_branch(&record.platform, &repo.to_string(), head).await? else {
            return ignored("no pull request of ours", None);
        };
        let job = job.value;
        let event = if merged { IssueEvent::Merge } else { IssueEvent::CloseUnmerged };
        record.job_id = Some(job.id);
        for _ in 0..TRIES {
            let Some(known) = self.ports.store.issue(job.issue_id).await? else {
                return ignored("the issue is gone", Some(job.id));
            };
            let Ok(issue) = known.value.advance(event, self.ports.clock.now()) else {
                return ignored("the issue is past that already", Some(job.id));
            };
            let issue = Some(Write::Update(Versioned { value: issue, revision: known.revision }));
            let step = Step { delivery: Some(record.clone()), issue, ..Step::default() };
            match self.ports.store.commit(step).await {
                Err(StoreError::Stale { .. }) => {}
                Err(StoreError::Repeated { .. }) | Ok(()) => {
                    let how = if merged { "merged" } else { "closed unmerged" };
                    return ignored(&format!("noted: the pull request was {how}"), Some(job.id));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Stale { what: "issue" }.into())
    }
}
