//! Handing work to one worker at a time. Workers that ask at the same moment are served by one transaction.

use std::sync::{Arc, LazyLock};

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use jiff::Timestamp;
use patchwright_core::store::{Claimant, ClaimedEffect, ConcurrencyLimits, MAX_LEASE, StoreError, Versioned};
use patchwright_domain::job::JobEvent;
use patchwright_domain::node::Needs;
use patchwright_domain::{Job, JobStatus};
use tokio::sync::oneshot;

use crate::db::{Db, TxError, blocking, broken, checkout, statements};
use crate::postgres::PgConnection;
use crate::queue::{GroupCommit, Queue};
use crate::row::effect::{EffectRow, EffectStatements, WAITING};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::{micros, unsigned};
use crate::schema::{effect, job};
use crate::template::Template;

/// The jobs whose workers have been silent for too long, the longest silent ones first. A lease that ends later than any
/// that is given now was given before the clock was set back: nobody knows when its worker fell silent.
macro_rules! abandoned_jobs {
    ($now:expr, $count:expr, $able:expr) => {{
        let latest = micros($now.saturating_add(MAX_LEASE).unwrap_or(Timestamp::MAX));
        job::table
            .filter(job::status.eq(JobStatus::Running.as_str()))
            .filter(job::lease_until.le(micros($now)).or(job::lease_until.gt(latest)))
            .filter(job::needs.eq_any($able))
            .order((job::lease_until.asc(), job::id.asc()))
            .limit($count)
            .select(JobRow::as_select())
    }};
}

/// The beginning of the statements that find waiting jobs. From repository to repository it steps through the index, so
/// that ten thousand jobs of one do not stand before the first of another.
const REPOSITORIES: &str = "WITH RECURSIVE waiting (repo) AS (
        SELECT min(repo) FROM job WHERE status = 'queued'
        UNION ALL
        SELECT (SELECT min(job.repo) FROM job WHERE job.status = 'queued' AND job.repo > waiting.repo)
        FROM waiting WHERE waiting.repo IS NOT NULL
    ), busy (repo, jobs) AS (
        SELECT repo, count(*) FROM job WHERE status = 'running' GROUP BY repo
    )";

/// A job of the repository that may run at `{0}` and asks for nothing that the worker has not. An earlier job of the
/// same issue goes first.
fn may_run(able: &str) -> String {
    format!(
        "job.status = 'queued' AND job.repo = waiting.repo AND job.not_before <= {{0}} AND job.needs {able}
        AND NOT EXISTS (SELECT 1 FROM job AS earlier WHERE earlier.issue_id = job.issue_id AND earlier.id < job.id
            AND earlier.status IN ('queued', 'running'))"
    )
}

/// The two statements of a database: the next jobs where nothing is limited, and the next one where something is.
struct Next {
    jobs: Template,
    limited: Template,
}

/// The next `{1}` jobs where nothing is limited. Each one that is taken counts for its repository's next turn.
fn next_jobs(first_of_repository: &str) -> Template {
    Template::new(&format!(
        "{REPOSITORIES}
        SELECT id FROM (
            SELECT candidate.id, candidate.rank, candidate.not_before, coalesce(busy.jobs, 0) + row_number() OVER (
                PARTITION BY waiting.repo ORDER BY candidate.rank, candidate.not_before, candidate.id) AS turn
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo {first_of_repository}
        ) AS candidates
        ORDER BY turn, rank, not_before, id LIMIT {{1}}"
    ))
}

/// SQLite may look each job up once more: it has no lateral joins.
fn sqlite_next(able: &str) -> Next {
    let may_run = may_run(able);
    let jobs = next_jobs(&format!(
        "JOIN job AS candidate ON candidate.id IN (
            SELECT job.id FROM job WHERE {may_run} ORDER BY job.rank, job.not_before, job.id LIMIT {{1}})"
    ));
    let limited = Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM (
            SELECT coalesce(busy.jobs, 0) AS jobs, (
                SELECT job.id FROM job WHERE {may_run} AND {HAS_ROOM}
                ORDER BY job.rank, job.not_before, job.id LIMIT 1
            ) AS id
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo WHERE waiting.repo IS NOT NULL
        ) AS candidate JOIN job ON job.id = candidate.id
        WHERE {{1}} = 0 OR candidate.jobs < {{1}}
        ORDER BY candidate.jobs, job.rank, job.not_before, job.id LIMIT 1"
    ));
    Next { jobs, limited }
}

/// What one worker looks at is locked for the moment; the others pass over it.
fn postgres_next(able: &str) -> Next {
    let may_run = may_run(able);
    let jobs = next_jobs(&format!(
        "CROSS JOIN LATERAL (
            SELECT job.id, job.rank, job.not_before FROM job WHERE {may_run}
            ORDER BY job.rank, job.not_before, job.id LIMIT {{1}} FOR UPDATE SKIP LOCKED) AS candidate"
    ));
    let limited = Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo
        CROSS JOIN LATERAL (
            SELECT job.id, job.rank, job.not_before FROM job WHERE {may_run} AND {HAS_ROOM}
            ORDER BY job.rank, job.not_before, job.id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS candidate
        WHERE waiting.repo IS NOT NULL AND ({{1}} = 0 OR coalesce(busy.jobs, 0) < {{1}})
        ORDER BY coalesce(busy.jobs, 0), candidate.rank, candidate.not_before, candidate.id LIMIT 1"
    ));
    Next { jobs, limited }
}

/// For workers that take what asks for nothing, which are most.
static SQLITE_PLAIN: LazyLock<Next> = LazyLock::new(|| sqlite_next("= ''"));
static POSTGRES_PLAIN: LazyLock<Next> = LazyLock::new(|| postgres_next("= ''"));

/// The statements for a worker that can do jobs that ask for one of these.
fn next_for<'a>(able: &[String], plain: &'a Next, make: fn(&str) -> Next, room: &'a mut Option<Next>) -> &'a Next {
    if able.iter().all(String::is_empty) {
        return plain;
    }
    // The words come from `Needs`, whose letters need no quoting.
    let list: Vec<String> = able.iter().map(|needs| format!("'{needs}'")).collect();
    room.insert(make(&format!("IN ({})", list.join(", "))))
}

/// A person for whom fewer jobs run than may, where `{2}` of them may.
const HAS_ROOM: &str = "({2} = 0 OR job.actor NOT IN (SELECT other.actor FROM job AS other
    WHERE other.status = 'running' GROUP BY other.actor HAVING count(*) >= {2}))";

/// One worker that asks for a job.
pub(crate) struct Ask {
    now: Timestamp,
    claimant: Arc<dyn Claimant>,
    share: ConcurrencyLimits,
    tell: oneshot::Sender<Result<Option<Versioned<Job>>, StoreError>>,
}

/// Where workers ask for jobs.
#[derive(Clone)]
pub(crate) struct Claims(Queue<Ask>);

impl Claims {
    /// Starts the thread that serves them.
    pub(crate) fn start(db: &Db) -> std::io::Result<Self> {
        let mut desk = Desk { db: db.clone(), conn: None };
        Queue::start("claims", GroupCommit::default(), move |asks| desk.serve(asks)).map(Self)
    }

    pub(crate) async fn ask(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        share: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.0.push(Ask { now, claimant, share, tell })?;
        told.await
            .map_err(|_| StoreError::Unavailable { source: "the thread that hands out jobs broke down".into() })?
    }
}

/// The thread behind it.
struct Desk {
    db: Db,
    /// Kept for PostgreSQL: taking one from the pool asks the server whether it is alive.
    conn: Option<PooledConnection<ConnectionManager<PgConnection>>>,
}

impl Desk {
    fn serve(&mut self, mut asks: Vec<Ask>) {
        while let Some(first) = asks.first() {
            // The workers of a server ask with the same share and take what asks for nothing; whoever does not is
            // served by itself.
            let (now, share) = (first.now, first.share);
            let (same, rest): (Vec<Ask>, Vec<Ask>) = if first.claimant.is_plain() {
                asks.into_iter().partition(|ask| ask.share == share && ask.claimant.is_plain())
            } else {
                let rest = asks.split_off(1);
                (asks, rest)
            };
            asks = rest;
            let claimants = same.iter().map(|ask| Arc::clone(&ask.claimant)).collect();
            match self.claim(now, claimants, share) {
                Ok(claimed) => {
                    let claimed = claimed.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                    // A worker that has gone meanwhile leaves a lease that runs out.
                    same.into_iter().zip(claimed).for_each(|(ask, job)| drop(ask.tell.send(Ok(job))));
                }
                Err(error) => {
                    let detail = error.to_string();
                    for ask in same {
                        let source = detail.clone().into();
                        drop(ask.tell.send(Err(StoreError::Unavailable { source })));
                    }
                }
            }
        }
    }

    /// As many jobs as there are and are asked for, each with its lease, in the order of the claimants.
    fn claim(
        &mut self,
        now: Timestamp,
        claimants: Vec<Arc<dyn Claimant>>,
        share: ConcurrencyLimits,
    ) -> Result<Vec<Versioned<Job>>, StoreError> {
        let count = i64::try_from(claimants.len()).unwrap_or(i64::MAX);
        match &self.db {
            Db::Sqlite(sqlite) => sqlite.write_now(move |conn| {
                let able = conn.able(claimants.as_slice())?;
                let mut room = None;
                let next = next_for(&able, &SQLITE_PLAIN, sqlite_next, &mut room);
                let abandoned = abandoned_jobs!(now, count, &able).load(conn)?;
                conn.lease_jobs(abandoned, now, &claimants, share, next)
            }),
            Db::Postgres(postgres) => {
                let mut conn = match self.conn.take() {
                    Some(conn) => conn,
                    None => checkout(&postgres.pool)?,
                };
                let claimed = (*conn).transaction(|conn| {
                    if share != ConcurrencyLimits::default() {
                        // Two that count at the same moment would both find room for one.
                        diesel::sql_query("SELECT pg_advisory_xact_lock(7262711)").execute(conn)?;
                    }
                    let able = conn.able(claimants.as_slice())?;
                    let mut room = None;
                    let next = next_for(&able, &POSTGRES_PLAIN, postgres_next, &mut room);
                    let abandoned = abandoned_jobs!(now, count, &able).for_update().skip_locked().load(conn)?;
                    conn.lease_jobs(abandoned, now, &claimants, share, next)
                });
                if claimed.is_ok() {
                    self.conn = Some(conn);
                }
                claimed.map_err(|error: TxError| error.into())
            }
        }
    }
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

/// The job with its lease, as the domain wants it; `None` when the claimant does not take it.
fn leased(
    row: JobRow,
    stages: Vec<StageRow>,
    now: Timestamp,
    claimant: &dyn Claimant,
) -> Result<Option<Versioned<Job>>, StoreError> {
    let Versioned { value: job, revision } = row.into_domain(stages)?;
    let Some(lease) = claimant.hold(&job) else { return Ok(None) };
    let id = job.id.to_string();
    let refused = |refused| broken("job", &id, refused);
    let free = if job.status() == JobStatus::Running {
        job.advance(JobEvent::LeaseExpired, now).map_err(refused)?.0
    } else {
        job
    };
    let (value, _) = free.advance(JobEvent::Leased { lease }, now).map_err(refused)?;
    Ok(Some(Versioned { value, revision: revision + 1 }))
}

statements! {
    trait ClaimStatements {
        fn able(conn, claimants: &[Arc<dyn Claimant>]) -> Result<Vec<String>, TxError> {
            // What is asked for by jobs that wait, as far as this claimant can do it; nothing in most cases.
            let mut able = vec![String::new()];
            let Some(claimant) = claimants.first().filter(|claimant| !claimant.is_plain()) else { return Ok(able) };
            let asked: Vec<String> = job::table
                .filter(job::needs.ne("").and(job::status.eq_any(["queued", "running"])))
                .select(job::needs)
                .distinct()
                .load(conn)?;
            able.extend(asked.into_iter().filter(|text| text.parse().is_ok_and(|needs| claimant.can(&needs))));
            if !claimant.can(&Needs::default()) {
                able.remove(0);
            }
            Ok(able)
        }

        fn lease_jobs(
            conn,
            abandoned: Vec<JobRow>,
            now: Timestamp,
            claimants: &[Arc<dyn Claimant>],
            share: ConcurrencyLimits,
            next: &Next
        ) -> Result<Vec<Versioned<Job>>, TxError> {
            // The abandoned ones go first, then those that wait: all at once, or one by one where each one taken
            // leaves less room.
            let mut claimants = claimants.iter();
            let mut claimed = conn.lease_rows(abandoned, now, &mut claimants)?;
            let at = micros(now);
            if share == ConcurrencyLimits::default() {
                if claimants.len() > 0 {
                    let count = i64::try_from(claimants.len()).unwrap_or(i64::MAX);
                    let ids: Vec<String> = next.jobs.with([at, count]).load(conn)?;
                    let rows = conn.job_rows(&ids)?;
                    claimed.extend(conn.lease_rows(rows, now, &mut claimants)?);
                }
                return Ok(claimed);
            }
            while claimants.len() > 0 {
                let limits = [at, i64::from(share.per_repository), i64::from(share.per_actor)];
                let Some(id) = next.limited.with(limits).get_result::<String>(conn).optional()? else { break };
                let rows = conn.job_rows(&[id])?;
                claimed.extend(conn.lease_rows(rows, now, &mut claimants)?);
            }
            Ok(claimed)
        }

        fn lease_rows(
            conn,
            rows: Vec<JobRow>,
            now: Timestamp,
            claimants: &mut std::slice::Iter<'_, Arc<dyn Claimant>>
        ) -> Result<Vec<Versioned<Job>>, TxError> {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            let mut stages = conn.stages_of_jobs(&ids)?;
            let mut claimed = Vec::new();
            let mut changed = Vec::new();
            for row in rows {
                let Some(claimant) = claimants.next() else { break };
                let (own, others) = stages.into_iter().partition(|stage| stage.job_id == row.id);
                stages = others;
                let Some(job) = leased(row, own, now, claimant.as_ref())? else { continue };
                changed.push(JobRow::new(&job.value, job.revision)?);
                claimed.push(job);
            }
            crate::postgres::UpdateJobs::update_jobs(conn, &changed)?;
            Ok(claimed)
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
