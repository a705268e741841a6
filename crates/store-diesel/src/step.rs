//! One step of a use case: one transaction.

use patchwright_core::store::{Step, StoreError, Write};
use patchwright_domain::{Issue, Job};

use crate::db::{TxError, statements};
use crate::row::delivery::{DeliveryRow, DeliveryStatements};
use crate::row::effect::{DONE, EffectRow, EffectStatements};
use crate::row::issue::{IssueRow, IssueStatements};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::parse;
use crate::row::task::{TaskRow, TaskStatements};

statements! {
    pub(crate) trait StepStatements {
        fn write_step(conn, step: &Step) -> Result<(), TxError> {
            // The issue goes first: everything else refers to it. The delivery refers to the job.
            if let Some(write) = &step.issue {
                conn.write_issue(write)?;
            }
            if let Some(write) = &step.job {
                conn.write_job(write)?;
            }
            if let Some(record) = &step.delivery {
                let row = DeliveryRow::new(record);
                if conn.insert_delivery(&row)? == 0 {
                    return Err(repeated(&row, conn.known_delivery(&row)?)?.into());
                }
            }
            if let Some(task) = &step.task {
                conn.upsert_task(&TaskRow::new(task))?;
            }
            for record in &step.effects {
                conn.insert_effect(&EffectRow::new(record)?)?;
            }
            if let Some(id) = step.settled {
                conn.end_effect(&id.to_string(), DONE, None)?;
            }
            Ok(())
        }

        fn write_issue(conn, write: &Write<Issue>) -> Result<(), TxError> {
            let written = match write {
                Write::Insert(issue) => conn.insert_issue(&IssueRow::new(issue, 1))?,
                Write::Update(known) => {
                    conn.update_issue(&IssueRow::new(&known.value, known.revision + 1), known.revision)?
                }
            };
            if written == 0 { Err(StoreError::Stale { what: "issue" }.into()) } else { Ok(()) }
        }

        fn write_job(conn, write: &Write<Job>) -> Result<(), TxError> {
            let (job, written) = match write {
                Write::Insert(job) => (job, conn.insert_job(&JobRow::new(job, 1)?)?),
                Write::Update(known) => {
                    let row = JobRow::new(&known.value, known.revision + 1)?;
                    (&known.value, conn.update_job(&row, known.revision)?)
                }
            };
            if written == 0 {
                return Err(StoreError::Stale { what: "job" }.into());
            }
            let stages: Vec<StageRow> =
                job.stages.iter().map(|record| StageRow::new(job, record)).collect::<Result<_, _>>()?;
            conn.upsert_stages(&stages)?;
            Ok(())
        }
    }
}

fn repeated(new: &DeliveryRow, known: Option<DeliveryRow>) -> Result<StoreError, StoreError> {
    let Some(known) = known else {
        // The twin was rolled back between our insert and our look: try again.
        return Ok(StoreError::Stale { what: "delivery" });
    };
    let job_id = known.job_id.as_ref().map(|id| parse("delivery", &known.id, id.parse())).transpose()?;
    Ok(StoreError::Repeated { job_id, same_delivery: known.id == new.id })
}
