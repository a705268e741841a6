//! Handing work to one worker at a time: the statements that the two databases need differently.

use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::store::{ClaimedEffect, StoreError, Versioned};
use patchwright_domain::job::{JobEvent, Lease};
use patchwright_domain::{Job, JobStatus};

use crate::db::{Db, TxError, blocking, broken, checkout, statements};
use crate::postgres::PgConnection;
use crate::row::effect::{EffectRow, EffectStatements, WAITING};
use crate::row::job::{JobRow, JobStatements};
use crate::row::{micros, unsigned};
use crate::schema::{effect, job};
use crate::step::{Change, StepStatements};

/// The statement that finds the next job: the queued one that waits longest, or one whose lease ran out.
macro_rules! next_job {
    ($now:expr) => {
        job::table
            .filter(
                job::status
                    .eq(JobStatus::Queued.as_str())
                    .and(job::not_before.le($now))
                    .or(job::status.eq(JobStatus::Running.as_str()).and(job::lease_until.le($now))),
            )
            // First those whose worker is gone, which have no waiting time: one database sorts such rows first by
            // itself, the other last, where they would starve behind a long queue.
            .order((job::not_before.is_not_null().asc(), job::not_before.asc(), job::id.asc()))
            .limit(1)
            .select(JobRow::as_select())
    };
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

pub(crate) async fn claim_job(db: &Db, now: Timestamp, lease: Lease) -> Result<Option<Versioned<Job>>, StoreError> {
    let at = micros(now);
    match db {
        Db::Sqlite(sqlite) => {
            let claim = move |conn: &mut SqliteConnection| {
                let row = next_job!(at).first(conn).optional()?;
                conn.lease_job(row, now, lease.clone())
            };
            sqlite.write(claim).await
        }
        Db::Postgres(postgres) => {
            let claim = move |conn: &mut PgConnection| {
                let row = next_job!(at).for_update().skip_locked().first(conn).optional()?;
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
