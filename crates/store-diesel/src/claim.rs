//! Handing work to one worker at a time: the statements that the two databases need differently.

use std::sync::LazyLock;

use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::store::{ClaimedEffect, MAX_LEASE, Share, StoreError, Versioned};
use patchwright_domain::job::{JobEvent, Lease};
use patchwright_domain::{Job, JobStatus};

use crate::db::{Db, TxError, blocking, broken, checkout, statements};
use crate::postgres::PgConnection;
use crate::row::effect::{EffectRow, EffectStatements, WAITING};
use crate::row::job::{JobRow, JobStatements};
use crate::row::{micros, unsigned};
use crate::schema::{effect, job};
use crate::step::{Change, StepStatements};

/// The job whose worker has been silent for too long, the longest silent one first. A lease that ends later than any
/// that is given now was given before the clock was set back: nobody knows when its worker fell silent.
macro_rules! abandoned_job {
    ($now:expr, $latest:expr) => {
        job::table
            .filter(job::status.eq(JobStatus::Running.as_str()))
            .filter(job::lease_until.le($now).or(job::lease_until.gt($latest)))
            .order((job::lease_until.asc(), job::id.asc()))
            .limit(1)
            .select(JobRow::as_select())
    };
}

/// The statement that finds the next waiting job. From repository to repository it steps through the index, so that ten
/// thousand jobs of one do not stand before the first of another.
///
/// Its parameters: the time, the limit for a person, the limit for a repository.
fn waiting_job(first_of_repository: &str) -> String {
    format!(
        "WITH RECURSIVE waiting (repo) AS (
            SELECT min(repo) FROM job WHERE status = 'queued'
            UNION ALL
            SELECT (SELECT min(job.repo) FROM job WHERE job.status = 'queued' AND job.repo > waiting.repo)
            FROM waiting WHERE waiting.repo IS NOT NULL
        ), busy (repo, jobs) AS (
            SELECT repo, count(*) FROM job WHERE status = 'running' GROUP BY repo
        )
        {first_of_repository}"
    )
}

/// People for whom as many jobs run as may.
const NOT_FOR: &str = "(SELECT other.actor FROM job AS other WHERE other.status = 'running'
    GROUP BY other.actor HAVING count(*) >= $2)";

/// An earlier job of the same issue goes first.
const NO_EARLIER: &str = "NOT EXISTS (SELECT 1 FROM job AS earlier WHERE earlier.issue_id = job.issue_id
    AND earlier.id < job.id AND earlier.status IN ('queued', 'running'))";

static SQLITE_WAITING_JOB: LazyLock<String> = LazyLock::new(|| {
    waiting_job(&format!(
        "SELECT candidate.id AS id FROM (
            SELECT coalesce(busy.jobs, 0) AS jobs, (
                SELECT job.id FROM job
                WHERE job.status = 'queued' AND job.repo = waiting.repo AND job.not_before <= $1
                    AND ($2 = 0 OR job.actor NOT IN {NOT_FOR}) AND {NO_EARLIER}
                ORDER BY job.not_before, job.id LIMIT 1
            ) AS id
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo WHERE waiting.repo IS NOT NULL
        ) AS candidate JOIN job ON job.id = candidate.id
        WHERE $3 = 0 OR candidate.jobs < $3
        ORDER BY candidate.jobs, job.not_before, job.id LIMIT 1"
    ))
});

/// The first of each repository is locked for the moment; other workers pass over it and take the second.
static POSTGRES_WAITING_JOB: LazyLock<String> = LazyLock::new(|| {
    waiting_job(&format!(
        "SELECT candidate.id AS id FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo
        CROSS JOIN LATERAL (
            SELECT job.id, job.not_before FROM job
            WHERE job.status = 'queued' AND job.repo = waiting.repo AND job.not_before <= $1
                AND ($2 = 0 OR job.actor NOT IN {NOT_FOR}) AND {NO_EARLIER}
            ORDER BY job.not_before, job.id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS candidate
        WHERE waiting.repo IS NOT NULL AND ($3 = 0 OR coalesce(busy.jobs, 0) < $3)
        ORDER BY coalesce(busy.jobs, 0), candidate.not_before, candidate.id LIMIT 1"
    ))
});

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = diesel::sql_types::Text)]
    id: String,
}

/// The statement that finds the next effect: the oldest due one such that no older one of its issue waits.
macro_rules! next_effect {
    ($older:expr, $now:expr) => {
        effect::table
            .filter(effect::status.eq(WAITING))
            .filter(effect::not_before.le($now))
            .filter(diesel::dsl::not(diesel::dsl::exists(
                $older
                    .filter($older.field(effect::issue_id).eq(effect::issue_id))
                    .filter($older.field(effect::status).eq(WAITING))
                    .filter($older.field(effect::id).lt(effect::id)),
            )))
            .order(effect::id)
            .limit(1)
            .select(EffectRow::as_select())
    };
}

diesel::alias!(effect as older_effect: OlderEffect);

pub(crate) async fn claim_job(
    db: &Db,
    now: Timestamp,
    lease: Lease,
    share: Share,
) -> Result<Option<Versioned<Job>>, StoreError> {
    let at = micros(now);
    let latest = micros(now.saturating_add(MAX_LEASE).unwrap_or(Timestamp::MAX));
    match db {
        Db::Sqlite(sqlite) => {
            let claim = move |conn: &mut SqliteConnection| {
                let row = match abandoned_job!(at, latest).first(conn).optional()? {
                    Some(row) => Some(row),
                    None => conn.first_waiting(&SQLITE_WAITING_JOB, at, share)?,
                };
                conn.lease_job(row, now, lease.clone())
            };
            sqlite.write(claim).await
        }
        Db::Postgres(postgres) => {
            let claim = move |conn: &mut PgConnection| {
                if share != Share::default() {
                    // Two that count at the same moment would both find room for one.
                    diesel::sql_query("SELECT pg_advisory_xact_lock(7262711)").execute(conn)?;
                }
                let row = match abandoned_job!(at, latest).for_update().skip_locked().first(conn).optional()? {
                    Some(row) => Some(row),
                    None => conn.first_waiting(&POSTGRES_WAITING_JOB, at, share)?,
                };
                conn.lease_job(row, now, lease)
            };
            let pool = postgres.pool.clone();
            blocking(move || Ok((*checkout(&pool)?).transaction(claim)?)).await
        }
    }
}

pub(crate) async fn claim_effect(
    db: &Db,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<ClaimedEffect>, StoreError> {
    let at = micros(now);
    match db {
        Db::Sqlite(sqlite) => {
            let claim = move |conn: &mut SqliteConnection| {
                let row = next_effect!(older_effect, at).first(conn).optional()?;
                conn.take_effect(row, until)
            };
            sqlite.write(claim).await
        }
        Db::Postgres(postgres) => {
            let claim = move |conn: &mut PgConnection| {
                let row = next_effect!(older_effect, at).for_update().skip_locked().first(conn).optional()?;
                conn.take_effect(row, until)
            };
            let pool = postgres.pool.clone();
            blocking(move || Ok((*checkout(&pool)?).transaction(claim)?)).await
        }
    }
}

statements! {
    trait ClaimStatements {
        fn first_waiting(conn, statement: &str, at: i64, share: Share) -> QueryResult<Option<JobRow>> {
            use diesel::sql_types::BigInt;
            let found: Option<Found> = diesel::sql_query(statement)
                .bind::<BigInt, _>(at)
                .bind::<BigInt, _>(i64::from(share.per_actor))
                .bind::<BigInt, _>(i64::from(share.per_repository))
                .get_result(conn)
                .optional()?;
            match found {
                Some(Found { id }) => conn.job_row(&id),
                None => Ok(None),
            }
        }

        fn lease_job(
            conn,
            row: Option<JobRow>,
            now: Timestamp,
            lease: Lease
        ) -> Result<Option<Versioned<Job>>, TxError> {
            let Some(row) = row else { return Ok(None) };
            let stages = conn.stage_rows(&row.id)?;
            let Versioned { value: job, revision } = row.into_domain(stages)?;
            let id = job.id.to_string();
            let refused = |refused| StoreError::from(TxError::from(broken("job", &id, refused)));
            let free = if job.status() == JobStatus::Running {
                job.advance(JobEvent::LeaseExpired, now).map_err(refused)?.0
            } else {
                job
            };
            let (leased, _) = free.advance(JobEvent::Leased { lease }, now).map_err(refused)?;
            let change = Change { row: JobRow::new(&leased, revision + 1)?, expected: Some(revision) };
            conn.write_job(&change, &[])?;
            Ok(Some(Versioned { value: leased, revision: revision + 1 }))
        }

        fn take_effect(conn, row: Option<EffectRow>, until: Timestamp) -> Result<Option<ClaimedEffect>, TxError> {
            let Some(row) = row else { return Ok(None) };
            let attempts = row.attempts + 1;
            conn.hold_effect(&row.id, attempts, micros(until))?;
            let attempt = unsigned("effect", &row.id, attempts)?;
            Ok(Some(ClaimedEffect { record: row.into_domain()?, attempt }))
        }
    }
}
