//! Deleting old jobs and audit entries.

use diesel::prelude::*;
use patchwright_domain::JobStatus;

use crate::db::statements;
use crate::schema::{audit, conversation, job, model_call, task, task_log};

/// How many jobs one run deletes at most, so that no transaction takes long.
const MAX_JOBS_AT_ONCE: i64 = 500;

/// The times before which records of each kind are deleted, in microseconds; `None` keeps them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindsBefore {
    pub(crate) jobs: Option<i64>,
    pub(crate) audit: Option<i64>,
}

statements! {
    pub(crate) trait RetentionStatements {
        fn forget_kinds(conn, before: &KindsBefore) -> QueryResult<usize> {
            let mut deleted = 0;
            if let Some(before) = before.jobs {
                deleted += conn.forget_jobs(before)?;
            }
            if let Some(before) = before.audit {
                deleted += diesel::delete(audit::table.filter(audit::at.lt(before))).execute(conn)?;
            }
            Ok(deleted)
        }

        fn forget_jobs(conn, before: i64) -> QueryResult<usize> {
            let ended = JobStatus::ALL.into_iter().filter(|status| status.is_terminal()).map(JobStatus::as_str);
            let newer = diesel::alias!(job as newer);
            // The newest job of an issue has its branch and pull request, which the next follow-up continues.
            let is_followed = diesel::dsl::exists(
                newer.filter(newer.field(job::issue_id).eq(job::issue_id).and(newer.field(job::id).gt(job::id))),
            );
            // A follow-up that has not started takes the state of the job before it over when it does.
            let waiting = diesel::alias!(job as waiting);
            let is_awaited = diesel::dsl::exists(
                waiting
                    .filter(waiting.field(job::issue_id).eq(job::issue_id).and(waiting.field(job::id).gt(job::id)))
                    .filter(waiting.field(job::follows).like("%\"inherited\":false%")),
            );
            let old: Vec<String> = job::table
                .filter(job::status.eq_any(ended).and(job::ended_at.lt(before)))
                .filter(is_followed.and(diesel::dsl::not(is_awaited)))
                .order(job::id)
                .limit(MAX_JOBS_AT_ONCE)
                .select(job::id)
                .load(conn)?;
            let tasks: Vec<String> = task::table.filter(task::job_id.eq_any(&old)).select(task::id).load(conn)?;
            diesel::delete(task_log::table.filter(task_log::task_id.eq_any(&tasks))).execute(conn)?;
            diesel::delete(model_call::table.filter(model_call::job_id.eq_any(&old))).execute(conn)?;
            diesel::delete(conversation::table.filter(conversation::job_id.eq_any(&old))).execute(conn)?;
            diesel::delete(task::table.filter(task::job_id.eq_any(&old))).execute(conn)?;
            diesel::delete(job::table.filter(job::id.eq_any(&old))).execute(conn)
        }
    }
}
