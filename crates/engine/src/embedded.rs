//! The embedded node of the server process: it claims a job and runs it with a local task session.

use std::collections::BTreeSet;
use std::sync::Arc;

use patchwright_core::CancellationToken;
use patchwright_core::store::{Claimant, Step, StoreError};
use patchwright_domain::job::{JobState, Lease};
use patchwright_domain::node::{Label, Needs};
use patchwright_domain::task::{EMBEDDED_NODE, TaskStatus};
use patchwright_domain::{Job, JobId, Task};
use tracing::Instrument as _;

use crate::Engine;
use crate::backoff::signed;
use patchwright_core::fault::error_chain;
use patchwright_worker::Worker;

/// A claim on behalf of this process.
struct Embedded {
    lease: Lease,
    labels: BTreeSet<Label>,
}

impl Claimant for Embedded {
    fn is_plain(&self) -> bool {
        self.labels.is_empty()
    }

    fn can(&self, needs: &Needs) -> bool {
        needs.are_met_by(None, &self.labels)
    }

    fn lease(&self, _: &Job) -> Option<Lease> {
        Some(self.lease.clone())
    }
}

impl Engine {
    /// Claims the next queued job and runs it until it ends, is postponed, or `shutdown` is cancelled. Returns the job
    /// that it ran, if any.
    ///
    /// # Errors
    /// [`StoreError`] when the claim fails. Errors after the claim are recorded in the job.
    pub async fn run_next(&self, worker: &str, shutdown: &CancellationToken) -> Result<Option<JobId>, StoreError> {
        let now = self.ports.clock.now();
        let until = now.saturating_add(signed(self.settings().lease)).unwrap_or(now);
        let lease = Lease { holder: worker.to_owned(), task_id: self.ports.ids.task(), until };
        let claimant = Arc::new(Embedded { lease, labels: self.settings().labels.clone() });
        let Some(claimed) = self.ports.store.claim_job(now, claimant, self.settings().share).await? else {
            return Ok(None);
        };
        let job = claimed.value;
        let Some(task) = self.leased_task(&job, EMBEDDED_NODE) else { return Ok(None) };
        let task = Task { status: TaskStatus::Running, started_at: Some(now), ..task };
        self.close_lost_tasks(&task).await?;
        self.work_here(&job, task, shutdown).instrument(job_span(&job)).await;
        Ok(Some(job.id))
    }

    /// Creates the task for the lease of a job.
    pub(crate) fn leased_task(&self, job: &Job, node: &str) -> Option<Task> {
        let JobState::Running { lease } = &job.state else { return None };
        let attempt = u32::try_from(job.epoch).unwrap_or(u32::MAX);
        Some(Task { id: lease.task_id, attempt, ..Task::first(job, node, self.ports.clock.now()) })
    }

    /// Tasks of workers whose lease on this job expired: this task has the lease now.
    pub(crate) async fn close_lost_tasks(&self, own: &Task) -> Result<(), StoreError> {
        if own.attempt == 1 {
            return Ok(());
        }
        for task in self.ports.store.open_tasks(own.job_id).await?.into_iter().filter(|task| task.id != own.id) {
            if let Ok(node) = task.node.parse() {
                self.ports.nodes.record_silence(node).await?;
            }
            let task = self.lost(task, "node_lost: its worker fell silent, and another one has the job");
            self.ports.store.commit(Step { task, ..Step::default() }).await?;
        }
        Ok(())
    }

    async fn work_here(&self, job: &Job, task: Task, shutdown: &CancellationToken) {
        let cancel = shutdown.child_token();
        let note = self.note_running(job.id, cancel.clone());
        let hold = self.lease_of(&task);
        let session = self.task_session(task);
        let worker = Worker { tools: self.ports.tools.clone(), work_dir: self.settings().work_dir.clone() };
        let end = Box::pin(worker.work(&session, hold, &cancel, shutdown)).await;
        if let Some(end) = end
            && let Err(error) = session.end(end).await
        {
            // A user cancelled it concurrently, or the database is unavailable.
            tracing::warn!(error = %error_chain(&error), "failed to write the outcome of the job");
        }
        drop(note);
    }
}

pub(crate) fn job_span(job: &Job) -> tracing::Span {
    tracing::info_span!(
        "job", job_id = %job.id, issue = %job.source, job.attempt = job.attempts, stage = tracing::field::Empty
    )
}
