//! A step as rows: they are created on the caller's thread and written in one transaction.

use patchwright_core::store::{JobWrite, Step, StoreError, Write};
use patchwright_domain::job::stage::StageRecord;
use patchwright_domain::{Issue, Job};

use crate::audit::{AuditRow, AuditStatements};
use crate::db::{TxError, statements};
use crate::row::delivery::{DeliveryRow, DeliveryStatements};
use crate::row::effect::{DONE, EffectRow, EffectStatements};
use crate::row::issue::{IssueRow, IssueStatements};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::parse;
use crate::row::request::{RequestChange, RequestStatements};
use crate::row::task::{TaskRow, TaskStatements};
use crate::stats::{Counted, StatsStatements};

/// A row with the revision that it replaces; `None` for a new one.
pub(crate) struct Change<R> {
    pub(crate) row: R,
    pub(crate) expected: Option<i64>,
}

impl<R> Change<R> {
    pub(crate) fn inserted(&self) -> Option<&R> {
        self.expected.is_none().then_some(&self.row)
    }

    pub(crate) fn updated(&self) -> Option<&R> {
        self.expected.is_some().then_some(&self.row)
    }
}

/// The rows of a step.
pub(crate) struct StepRows {
    pub(crate) delivery: Option<DeliveryRow>,
    pub(crate) issue: Option<Change<IssueRow>>,
    pub(crate) job: Option<Change<JobRow>>,
    pub(crate) stages: Vec<StageRow>,
    pub(crate) request: Option<RequestChange>,
    pub(crate) task: Option<TaskRow>,
    pub(crate) effects: Vec<EffectRow>,
    pub(crate) settled: Option<String>,
    pub(crate) ended: Option<Counted>,
    pub(crate) audit: Option<AuditRow>,
}

impl StepRows {
    pub(crate) fn new(step: Step) -> Result<Self, StoreError> {
        let (job, stages) = match &step.job {
            Some(write) => job_rows(write).map(|(job, stages)| (Some(job), stages))?,
            None => (None, Vec::new()),
        };
        Ok(Self {
            delivery: step.delivery.as_ref().map(DeliveryRow::new),
            issue: step.issue.as_ref().map(issue_row).transpose()?,
            job,
            stages,
            request: step.request.as_ref().map(RequestChange::new).transpose()?,
            task: step.task.as_ref().map(TaskRow::new),
            effects: step.effects.iter().map(EffectRow::new).collect::<Result<_, _>>()?,
            settled: step.settled.map(|id| id.to_string()),
            ended: step.ended.as_ref().map(crate::stats::rows),
            audit: step.audit.map(AuditRow::from),
        })
    }

    /// Whether the step only inserts rows, apart from those of stages.
    pub(crate) fn is_all_new(&self) -> bool {
        let new = |expected: Option<Option<i64>>| expected.is_none_or(|expected| expected.is_none());
        new(self.issue.as_ref().map(|change| change.expected))
            && new(self.job.as_ref().map(|change| change.expected))
            && self.request.as_ref().is_none_or(|change| change.is_new)
            && self.task.is_none()
            && self.settled.is_none()
            && self.ended.is_none()
    }
}

fn issue_row(write: &Write<Issue>) -> Result<Change<IssueRow>, StoreError> {
    Ok(match write {
        Write::Insert(issue) => Change { row: IssueRow::new(issue, 1)?, expected: None },
        Write::Update(known) => {
            Change { row: IssueRow::new(&known.value, known.revision + 1)?, expected: Some(known.revision) }
        }
    })
}

fn job_rows(write: &JobWrite) -> Result<(Change<JobRow>, Vec<StageRow>), StoreError> {
    match write {
        JobWrite::Insert(job) => {
            // A stage that has not begun has no row.
            let begun = job.stages.iter().filter(|record| !record.is_untouched());
            Ok((Change { row: JobRow::new(job, 1)?, expected: None }, stage_rows(job, begun)?))
        }
        JobWrite::Update { job, revision, stages } => {
            let changed = stages.iter().map(|kind| job.stage(*kind));
            let row = JobRow::new(job, revision + 1)?;
            Ok((Change { row, expected: Some(*revision) }, stage_rows(job, changed)?))
        }
    }
}

fn stage_rows<'a>(job: &Job, records: impl Iterator<Item = &'a StageRecord>) -> Result<Vec<StageRow>, StoreError> {
    records.map(|record| StageRow::new(job, record)).collect()
}

statements! {
    pub(crate) trait StepStatements {
        fn write_rows(conn, rows: &StepRows) -> Result<(), TxError> {
            // The delivery is first, so that a known one costs nothing more; its reference to the job is checked at the
            // end of the transaction.
            if let Some(row) = &rows.delivery
                && conn.insert_delivery(row)? == 0
            {
                return Err(repeated(row, conn.known_delivery(row)?)?.into());
            }
            if let Some(change) = &rows.issue {
                let written = match change.expected {
                    None => conn.insert_issue(&change.row)?,
                    Some(revision) => conn.update_issue(&change.row, revision)?,
                };
                one(written, "issue")?;
            }
            if let Some(change) = &rows.job {
                conn.write_job(change, &rows.stages)?;
            }
            if let Some(change) = &rows.request {
                let written =
                    if change.is_new { conn.insert_request(&change.row)? } else { conn.decide_request(&change.row)? };
                one(written, "request")?;
            }
            if let Some(row) = &rows.task {
                conn.upsert_task(row)?;
            }
            for row in &rows.effects {
                conn.insert_effect(row)?;
            }
            if let Some(id) = &rows.settled {
                conn.end_effect(id, DONE, None)?;
            }
            if let Some(counted) = &rows.ended {
                conn.count_run(counted)?;
            }
            if let Some(row) = &rows.audit {
                conn.insert_audit(row)?;
            }
            Ok(())
        }

        fn write_job(conn, change: &Change<JobRow>, stages: &[StageRow]) -> Result<(), TxError> {
            let written = match change.expected {
                None => conn.insert_job(&change.row)?,
                Some(revision) => conn.update_job(&change.row, revision)?,
            };
            one(written, "job")?;
            conn.upsert_stages(stages)?;
            Ok(())
        }
    }
}

fn one(written: usize, what: &'static str) -> Result<(), TxError> {
    if written == 0 { Err(StoreError::Stale { what }.into()) } else { Ok(()) }
}

fn repeated(new: &DeliveryRow, known: Option<DeliveryRow>) -> Result<StoreError, StoreError> {
    let Some(known) = known else {
        // The twin was rolled back between the insert and the select: the caller tries again.
        return Ok(StoreError::Stale { what: "delivery" });
    };
    let job_id = known.job_id.as_ref().map(|id| parse("delivery", &known.id, id.parse())).transpose()?;
    let same_delivery = known.id == new.id;
    Ok(StoreError::Repeated { job_id, same_delivery, altered: same_delivery && known.differs(new) })
}
