use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel::upsert::excluded;
use patchwright_domain::JobStatus;

use super::{CHANGES, JobRow, StageRow, StageSummaryRow};
use crate::db::statements;
use crate::schema::{job, job_stage};

/// The assignments of an update. One that was computed before a renewal of the same lease (the same epoch) has the old
/// expiry, and the revision does not reveal that, because a renewal does not change it: so the later expiry stays. A
/// new lease has another epoch and sets its own end, even to an earlier time after the clock was set back.
macro_rules! changes {
    ($row:expr) => {{
        let (given, now) = (&$row.summary, &$row.summary.now);
        let is_renewed = job::epoch.eq(now.epoch).and(job::lease_until.gt(given.lease_until));
        let until = case_when(is_renewed, job::lease_until).otherwise(given.lease_until.into_sql::<Nullable<BigInt>>());
        (now, job::rework.eq(&$row.rework), job::lease_until.eq(until))
    }};
}

/// The same as SQL text that reads the new values from a row named `given`.
pub(crate) fn assignments() -> String {
    let columns = CHANGES.map(|column| format!("{column} = given.{column}")).join(", ");
    format!(
        "{columns}, lease_until = CASE WHEN job.epoch = given.epoch AND job.lease_until > given.lease_until \
         THEN job.lease_until ELSE given.lease_until END"
    )
}

statements! {
    pub(crate) trait JobStatements {
        fn job_row(conn, id: &str) -> QueryResult<Option<JobRow>> {
            job::table.find(id).select(JobRow::as_select()).first(conn).optional()
        }

        fn job_rows(conn, ids: &[String]) -> QueryResult<Vec<JobRow>> {
            let mut rows: Vec<JobRow> = job::table.filter(job::id.eq_any(ids)).select(JobRow::as_select()).load(conn)?;
            rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id()));
            Ok(rows)
        }

        fn stages_of_jobs(conn, ids: &[&str]) -> QueryResult<Vec<StageRow>> {
            job_stage::table.filter(job_stage::job_id.eq_any(ids)).select(StageRow::as_select()).load(conn)
        }

        fn stage_summaries_of_jobs(conn, ids: &[&str]) -> QueryResult<Vec<StageSummaryRow>> {
            job_stage::table.filter(job_stage::job_id.eq_any(ids)).select(StageSummaryRow::as_select()).load(conn)
        }

        fn stage_rows(conn, id: &str) -> QueryResult<Vec<StageRow>> {
            job_stage::table.filter(job_stage::job_id.eq(id)).select(StageRow::as_select()).load(conn)
        }

        fn latest_job_row(conn, issue: &str) -> QueryResult<Option<JobRow>> {
            job::table
                .filter(job::issue_id.eq(issue))
                .order(job::id.desc())
                .select(JobRow::as_select())
                .first(conn)
                .optional()
        }

        fn open_job_rows(conn, issue: &str) -> QueryResult<Vec<JobRow>> {
            job::table
                .filter(job::issue_id.eq(issue))
                .filter(job::status.eq_any(JobStatus::ALL.into_iter().filter(|status| !status.is_terminal()).map(JobStatus::as_str)))
                .order(job::id)
                .select(JobRow::as_select())
                .load(conn)
        }

        fn job_row_by_branch(conn, platform: &str, repo: &str, branch: &str) -> QueryResult<Option<JobRow>> {
            job::table
                .filter(job::platform.eq(platform))
                .filter(job::repo.eq(repo))
                .filter(job::branch.eq(branch))
                .order(job::id.desc())
                .select(JobRow::as_select())
                .first(conn)
                .optional()
        }

        fn job_row_by_pull_request(conn, platform: &str, repo: &str, number: i64) -> QueryResult<Option<JobRow>> {
            // The column is JSON with the fields in the order of their declaration; a column of its own would be the 33rd,
            // which costs much time in every build.
            let of_pull_request = format!("%\"pull_request\":{{\"number\":{number},%");
            job::table
                .filter(job::platform.eq(platform))
                .filter(job::repo.eq(repo))
                .filter(job::published.like(of_pull_request))
                .order(job::id.desc())
                .select(JobRow::as_select())
                .first(conn)
                .optional()
        }

        fn insert_job(conn, row: &JobRow) -> QueryResult<usize> {
            diesel::insert_into(job::table).values(row).execute(conn)
        }

        fn update_job(conn, row: &JobRow, expected: i64) -> QueryResult<usize> {
            let known = job::table.find(row.id()).filter(job::revision.eq(expected));
            diesel::update(known).set(changes!(row)).execute(conn)
        }

        fn overwrite_job(conn, row: &JobRow) -> QueryResult<usize> {
            // For rows that the transaction has locked already.
            diesel::update(job::table.find(row.id())).set(changes!(row)).execute(conn)
        }

        fn upsert_stages(conn, rows: &[StageRow]) -> QueryResult<usize> {
            let mut written = 0;
            for row in rows {
                written += diesel::insert_into(job_stage::table)
                    .values(row)
                    .on_conflict((job_stage::job_id, job_stage::stage))
                    .do_update()
                    .set((
                        job_stage::status.eq(excluded(job_stage::status)),
                        job_stage::started_at.eq(excluded(job_stage::started_at)),
                        job_stage::ended_at.eq(excluded(job_stage::ended_at)),
                        job_stage::report.eq(excluded(job_stage::report)),
                        job_stage::comment.eq(excluded(job_stage::comment)),
                        job_stage::reason.eq(excluded(job_stage::reason)),
                        job_stage::usage.eq(excluded(job_stage::usage)),
                    ))
                    .execute(conn)?;
            }
            Ok(written)
        }
    }
}
