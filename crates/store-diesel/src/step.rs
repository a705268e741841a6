//! One step of a use case: rows made on the caller's thread, written in one transaction.

use patchwright_core::store::{Step, StoreError, Write};

use crate::db::{TxError, statements};
use crate::row::delivery::{DeliveryRow, DeliveryStatements};
use crate::row::effect::{DONE, EffectRow, EffectStatements};
use crate::row::issue::{IssueRow, IssueStatements};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::parse;
use crate::row::task::{TaskRow, TaskStatements};
use crate::stats::{Counted, StatsStatements};

/// A row with the revision that must still be there; `None` for a new one.
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

/// A step as rows.
pub(crate) struct StepRows {
    pub(crate) delivery: Option<DeliveryRow>,
    pub(crate) issue: Option<Change<IssueRow>>,
    pub(crate) job: Option<Change<JobRow>>,
    pub(crate) stages: Vec<StageRow>,
    pub(crate) task: Option<TaskRow>,
    pub(crate) effects: Vec<EffectRow>,
    pub(crate) settled: Option<String>,
    pub(crate) ended: Option<Counted>,
}

impl StepRows {
    pub(crate) fn new(step: &Step) -> Result<Self, StoreError> {
        let (job, stages) = match &step.job {
            Some(write) => {
                let (job, revision, expected) = parts(write);
                // A stage that nothing has happened to is known from its absence.
                let touched = job.stages.iter().filter(|record| !record.is_untouched());
                let stages = touched.map(|record| StageRow::new(job, record)).collect::<Result<_, _>>()?;
                (Some(Change { row: JobRow::new(job, revision)?, expected }), stages)
            }
            None => (None, Vec::new()),
        };
        let issue = step.issue.as_ref().map(|write| {
            let (issue, revision, expected) = parts(write);
            Ok::<_, StoreError>(Change { row: IssueRow::new(issue, revision)?, expected })
        });
        Ok(Self {
            delivery: step.delivery.as_ref().map(DeliveryRow::new),
            issue: issue.transpose()?,
            job,
            stages,
            task: step.task.as_ref().map(TaskRow::new),
            effects: step.effects.iter().map(EffectRow::new).collect::<Result<_, _>>()?,
            settled: step.settled.map(|id| id.to_string()),
            ended: step.ended.as_ref().map(crate::stats::rows),
        })
    }

    /// Whether it changes nothing that is there, apart from stages.
    pub(crate) fn is_all_new(&self) -> bool {
        let new = |expected: Option<Option<i64>>| expected.is_none_or(|expected| expected.is_none());
        new(self.issue.as_ref().map(|change| change.expected))
            && new(self.job.as_ref().map(|change| change.expected))
            && self.task.is_none()
            && self.settled.is_none()
            && self.ended.is_none()
    }
}

/// The thing, its new revision, and the one that must be there now.
fn parts<T>(write: &Write<T>) -> (&T, i64, Option<i64>) {
    match write {
        Write::Insert(value) => (value, 1, None),
        Write::Update(known) => (&known.value, known.revision + 1, Some(known.revision)),
    }
}

statements! {
    pub(crate) trait StepStatements {
        fn write_rows(conn, rows: &StepRows) -> Result<(), TxError> {
            // The delivery goes first, so that a known one costs nothing more; its reference to the job is checked at
            // the end of the transaction.
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
        // The twin was rolled back between our insert and our look: try again.
        return Ok(StoreError::Stale { what: "delivery" });
    };
    let job_id = known.job_id.as_ref().map(|id| parse("delivery", &known.id, id.parse())).transpose()?;
    let same_delivery = known.id == new.id;
    Ok(StoreError::Repeated { job_id, same_delivery, altered: same_delivery && known.differs(new) })
}
