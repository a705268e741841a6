//! The port of the store of record.

use std::sync::Arc;

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::store::{
    Claimant, ClaimedEffect, ClaimedRequest, ConcurrencyLimits, EffectOutcome, Retention, Step, Store, StoreError,
    Versioned,
};
use patchwright_domain::{EffectId, Issue, IssueId, IssueRef, Job, JobId, JobStatus, PlatformId, Request, Task};

use crate::DieselStore;
use crate::claim;
use crate::db::{Db, TxError, checkout, in_read_tx, in_snapshot, in_write_tx, statements, store_error};
use crate::lease::LeaseStatements as _;
use crate::retention::{KindsBefore, RetentionStatements as _};
use crate::row::delivery::DeliveryStatements;
use crate::row::effect::{DEAD, DONE, EffectStatements, WAITING};
use crate::row::issue::{IssueRow, IssueStatements};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::request::{RequestRow, RequestStatements};
use crate::row::task::{TaskRow, TaskStatements};
use crate::row::{micros, signed, timestamp, unsigned};
use crate::schema::{effect, jira_event, job, notice};
use crate::step::{StepRows, StepStatements};

type WholeJob = Option<(JobRow, Vec<StageRow>)>;

statements! {
    pub(crate) trait ReadStatements {
        fn ping(conn) -> QueryResult<()> {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1")).execute(conn).map(|_| ())
        }

        fn server_time_micros(conn) -> QueryResult<i64> {
            let now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
            diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(now)).get_result(conn)
        }

        fn with_stages(conn, row: Option<JobRow>) -> QueryResult<WholeJob> {
            let Some(row) = row else { return Ok(None) };
            let stages = conn.stage_rows(row.id())?;
            Ok(Some((row, stages)))
        }

        fn whole_job(conn, id: &str) -> QueryResult<WholeJob> {
            let row = conn.job_row(id)?;
            conn.with_stages(row)
        }

        fn whole_latest_job(conn, issue: &str) -> QueryResult<WholeJob> {
            let row = conn.latest_job_row(issue)?;
            conn.with_stages(row)
        }

        fn whole_open_jobs(conn, issue: &str) -> QueryResult<Vec<(JobRow, Vec<StageRow>)>> {
            let rows = conn.open_job_rows(issue)?;
            rows.into_iter().map(|row| conn.stage_rows(row.id()).map(|stages| (row, stages))).collect()
        }

        fn whole_job_by_branch(conn, platform: &str, repo: &str, branch: &str) -> QueryResult<WholeJob> {
            let row = conn.job_row_by_branch(platform, repo, branch)?;
            conn.with_stages(row)
        }

        fn whole_job_by_pull_request(conn, platform: &str, repo: &str, number: i64) -> QueryResult<WholeJob> {
            let row = conn.job_row_by_pull_request(platform, repo, number)?;
            conn.with_stages(row)
        }

        fn earliest(conn, after: i64) -> QueryResult<[Option<i64>; 6]> {
            let queued = job::table
                .filter(job::status.eq(JobStatus::Queued.as_str()).and(job::not_before.gt(after)))
                .select(diesel::dsl::min(job::not_before))
                .first::<Option<i64>>(conn)?;
            let leased = job::table
                .filter(job::status.eq(JobStatus::Running.as_str()).and(job::lease_until.gt(after)))
                .select(diesel::dsl::min(job::lease_until))
                .first::<Option<i64>>(conn)?;
            let waiting = effect::table
                .filter(effect::status.eq(WAITING).and(effect::not_before.gt(after)))
                .select(diesel::dsl::min(effect::not_before))
                .first::<Option<i64>>(conn)?;
            let events = jira_event::table
                .filter(jira_event::status.eq(WAITING).and(jira_event::not_before.gt(after)))
                .select(diesel::dsl::min(jira_event::not_before))
                .first::<Option<i64>>(conn)?;
            let notices = notice::table
                .filter(notice::status.eq(WAITING).and(notice::not_before.gt(after)))
                .select(diesel::dsl::min(notice::not_before))
                .first::<Option<i64>>(conn)?;
            let requests = conn.earliest_request(after)?;
            Ok([queued, leased, waiting, events, notices, requests])
        }
    }
}

fn job_of(found: WholeJob) -> Result<Option<Versioned<Job>>, StoreError> {
    found.map(|(row, stages)| row.into_domain(stages)).transpose()
}

impl DieselStore {
    /// Returns the time that all servers of this database agree on: PostgreSQL's, or this machine's for SQLite.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.blocking(|db| match db {
            Db::Sqlite(_) => Ok(Timestamp::now()),
            Db::Postgres(postgres) => {
                let micros = checkout(&postgres.pool)?.server_time_micros().map_err(store_error)?;
                timestamp("clock", "now", micros)
            }
        })
        .await
    }
}

#[async_trait]
impl Store for DieselStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.blocking(|db| in_read_tx!(db, conn => conn.ping().map_err(store_error))).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Versioned<Job>>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| job_of(in_snapshot!(db, conn => conn.whole_job(&id))?)).await
    }

    async fn issue(&self, id: IssueId) -> Result<Option<Versioned<Issue>>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.issue_by_id(&id).map_err(store_error))?;
            row.map(IssueRow::into_domain).transpose()
        })
        .await
    }

    async fn issue_by_source(&self, source: &IssueRef) -> Result<Option<Versioned<Issue>>, StoreError> {
        let source = source.clone();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.issue_by_source(&source).map_err(store_error))?;
            row.map(IssueRow::into_domain).transpose()
        })
        .await
    }

    async fn latest_job(&self, issue: IssueId) -> Result<Option<Versioned<Job>>, StoreError> {
        let id = issue.to_string();
        self.blocking(move |db| job_of(in_snapshot!(db, conn => conn.whole_latest_job(&id))?)).await
    }

    async fn open_jobs(&self, issue: IssueId) -> Result<Vec<Versioned<Job>>, StoreError> {
        let id = issue.to_string();
        self.blocking(move |db| {
            let rows = in_snapshot!(db, conn => conn.whole_open_jobs(&id))?;
            rows.into_iter().map(|(row, stages)| row.into_domain(stages)).collect()
        })
        .await
    }

    async fn open_tasks(&self, job: JobId) -> Result<Vec<Task>, StoreError> {
        let id = job.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.open_task_rows(&id).map_err(store_error))?;
            rows.into_iter().map(TaskRow::into_domain).collect()
        })
        .await
    }

    async fn latest_task(&self, job: JobId) -> Result<Option<Task>, StoreError> {
        let id = job.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.latest_task_row(&id).map_err(store_error))?;
            row.map(TaskRow::into_domain).transpose()
        })
        .await
    }

    async fn job_by_branch(
        &self,
        source: &PlatformId,
        repo: &str,
        branch: &str,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let (platform, repo, branch) = (source.as_str().to_owned(), repo.to_owned(), branch.to_owned());
        self.blocking(move |db| job_of(in_snapshot!(db, conn => conn.whole_job_by_branch(&platform, &repo, &branch))?))
            .await
    }

    async fn job_by_pull_request(
        &self,
        source: &PlatformId,
        repo: &str,
        number: u64,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let (platform, repo, number) = (source.as_str().to_owned(), repo.to_owned(), signed(number));
        self.blocking(move |db| {
            job_of(in_snapshot!(db, conn => conn.whole_job_by_pull_request(&platform, &repo, number))?)
        })
        .await
    }

    async fn request(&self, id: JobId) -> Result<Option<Request>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.request_row(&id).map_err(store_error))?;
            row.map(RequestRow::into_domain).transpose()
        })
        .await
    }

    async fn claim_request(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedRequest>, StoreError> {
        let (at, until) = (micros(now), micros(until));
        loop {
            let due = self.blocking(move |db| in_read_tx!(db, conn => conn.due_request(at).map_err(store_error)));
            let Some(row) = due.await? else { return Ok(None) };
            let (id, attempts) = (row.id.clone(), row.attempts);
            let claimed = in_write_tx!(self, conn => {
                conn.claim_request_row(&id, attempts, until).map_err(TxError::from)
            })?;
            // Of several that read the row, one finds it unchanged; the others look for the next.
            if claimed > 0 {
                let attempt = unsigned("trigger_request", &row.id, attempts + 1)?;
                return Ok(Some(ClaimedRequest { request: row.into_domain()?, attempt }));
            }
        }
    }

    async fn retry_request(&self, id: JobId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let id = id.to_string();
        let (at, error, not_counted) = match outcome {
            EffectOutcome::Retry { at, error } => (micros(at), error, 0),
            EffectOutcome::Postponed { at, error } => (micros(at), error, 1),
            EffectOutcome::Done | EffectOutcome::Dead { .. } => return Ok(()),
        };
        in_write_tx!(self, conn => {
            conn.retry_request_row(&id, at, &error, not_counted).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn is_refusal_answered(&self, issue: &IssueRef, actor: &str, since: Timestamp) -> Result<bool, StoreError> {
        let (issue, actor, since) = (issue.clone(), actor.to_owned(), micros(since));
        self.blocking(
            move |db| in_read_tx!(db, conn => conn.has_answered_refusal(&issue, &actor, since).map_err(store_error)),
        )
        .await
    }

    async fn commit(&self, step: Step) -> Result<(), StoreError> {
        let rows = StepRows::new(step)?;
        match &self.db {
            Db::Sqlite(sqlite) => sqlite.write(move |conn| conn.write_rows(&rows)).await,
            Db::Postgres(postgres) => postgres.write(rows).await,
        }
    }

    async fn claim_job(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        limits: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        self.claims.claim(now, claimant, limits).await
    }

    async fn renew_lease(&self, job: JobId, epoch: u64, until: Timestamp) -> Result<bool, StoreError> {
        let (id, epoch, until) = (job.to_string(), signed(epoch), micros(until));
        in_write_tx!(self, conn => Ok(conn.renew_lease(&id, epoch, until)? > 0))
    }

    async fn claim_effect(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedEffect>, StoreError> {
        claim::claim_effect(&self.db, now, until).await
    }

    async fn settle_effect(&self, id: EffectId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let id = id.to_string();
        in_write_tx!(self, conn => {
            let changed = match &outcome {
                EffectOutcome::Done => conn.end_effect(&id, DONE, None),
                EffectOutcome::Dead { error } => conn.end_effect(&id, DEAD, Some(error)),
                EffectOutcome::Retry { at, error } => conn.postpone_effect(&id, micros(*at), error, 0),
                EffectOutcome::Postponed { at, error } => conn.postpone_effect(&id, micros(*at), error, 1),
            }?;
            if changed == 0 { Err(TxError::from(StoreError::Stale { what: "effect" })) } else { Ok(()) }
        })
    }

    async fn forget(&self, retention: Retention) -> Result<u64, StoreError> {
        let before = micros(retention.before);
        let most = signed(retention.payload_bytes);
        let kinds = KindsBefore { jobs: retention.jobs_before.map(micros), audit: retention.audit_before.map(micros) };
        let forgotten = in_write_tx!(self, conn => {
            let old = conn.forget_deliveries(before)? + conn.forget_effects(before)? + conn.forget_requests(before)?;
            let beyond = if most == 0 { 0 } else { conn.forget_payloads_beyond(most)? };
            let more = conn.forget_kinds(&kinds)?;
            Ok(old + beyond + more)
        })?;
        Ok(forgotten as u64)
    }

    async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let after = micros(after);
        self.blocking(move |db| {
            let times = in_read_tx!(db, conn => conn.earliest(after).map_err(store_error))?;
            times.into_iter().flatten().min().map(|micros| timestamp("job", "next", micros)).transpose()
        })
        .await
    }
}
