//! Handing work to one worker at a time. Workers that ask at the same moment are served by one transaction.

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use jiff::Timestamp;
use patchwright_core::store::{ClaimedEffect, MAX_LEASE, Share, StoreError, Versioned};
use patchwright_domain::job::{JobEvent, Lease};
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
    ($now:expr, $count:expr) => {{
        let latest = micros($now.saturating_add(MAX_LEASE).unwrap_or(Timestamp::MAX));
        job::table
            .filter(job::status.eq(JobStatus::Running.as_str()))
            .filter(job::lease_until.le(micros($now)).or(job::lease_until.gt(latest)))
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

/// A job of the repository that may run at `{0}`. An earlier job of the same issue goes first.
const MAY_RUN: &str = "job.status = 'queued' AND job.repo = waiting.repo AND job.not_before <= {0} AND NOT EXISTS (
        SELECT 1 FROM job AS earlier WHERE earlier.issue_id = job.issue_id AND earlier.id < job.id
            AND earlier.status IN ('queued', 'running'))";

/// The next `{1}` jobs where nothing is limited. Each one that is taken counts for its repository's next turn.
fn next_jobs(first_of_repository: &str) -> Template {
    Template::new(&format!(
        "{REPOSITORIES}
        SELECT id FROM (
            SELECT candidate.id, candidate.not_before, coalesce(busy.jobs, 0) + row_number() OVER (
                PARTITION BY waiting.repo ORDER BY candidate.not_before, candidate.id) AS turn
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo {first_of_repository}
        ) AS candidates
        ORDER BY turn, not_before, id LIMIT {{1}}"
    ))
}

/// SQLite may look each job up once more: it has no lateral joins.
static SQLITE_NEXT: LazyLock<Template> = LazyLock::new(|| {
    next_jobs(&format!(
        "JOIN job AS candidate ON candidate.id IN (
            SELECT job.id FROM job WHERE {MAY_RUN} ORDER BY job.not_before, job.id LIMIT {{1}})"
    ))
});

/// What one worker looks at is locked for the moment; the others pass over it.
static POSTGRES_NEXT: LazyLock<Template> = LazyLock::new(|| {
    next_jobs(&format!(
        "CROSS JOIN LATERAL (
            SELECT job.id, job.not_before FROM job WHERE {MAY_RUN}
            ORDER BY job.not_before, job.id LIMIT {{1}} FOR UPDATE SKIP LOCKED) AS candidate"
    ))
});

/// A person for whom fewer jobs run than may, where `{2}` of them may.
const HAS_ROOM: &str = "({2} = 0 OR job.actor NOT IN (SELECT other.actor FROM job AS other
    WHERE other.status = 'running' GROUP BY other.actor HAVING count(*) >= {2}))";

/// The next job where `{1}` of a repository may run, and `{2}` for a person.
static SQLITE_LIMITED: LazyLock<Template> = LazyLock::new(|| {
    Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM (
            SELECT coalesce(busy.jobs, 0) AS jobs, (
                SELECT job.id FROM job WHERE {MAY_RUN} AND {HAS_ROOM} ORDER BY job.not_before, job.id LIMIT 1
            ) AS id
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo WHERE waiting.repo IS NOT NULL
        ) AS candidate JOIN job ON job.id = candidate.id
        WHERE {{1}} = 0 OR candidate.jobs < {{1}}
        ORDER BY candidate.jobs, job.not_before, job.id LIMIT 1"
    ))
});

static POSTGRES_LIMITED: LazyLock<Template> = LazyLock::new(|| {
    Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo
        CROSS JOIN LATERAL (
            SELECT job.id, job.not_before FROM job WHERE {MAY_RUN} AND {HAS_ROOM}
            ORDER BY job.not_before, job.id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS candidate
        WHERE waiting.repo IS NOT NULL AND ({{1}} = 0 OR coalesce(busy.jobs, 0) < {{1}})
        ORDER BY coalesce(busy.jobs, 0), candidate.not_before, candidate.id LIMIT 1"
    ))
});

/// One worker that asks for a job.
pub(crate) struct Ask {
    now: Timestamp,
    lease: Lease,
    share: Share,
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
        lease: Lease,
        share: Share,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.0.push(Ask { now, lease, share, tell })?;
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
            // All workers of a server ask with the same share; whoever does not is served by itself.
            let (now, share) = (first.now, first.share);
            let (same, rest): (Vec<Ask>, Vec<Ask>) = asks.into_iter().partition(|ask| ask.share == share);
            asks = rest;
            let leases = same.iter().map(|ask| ask.lease.clone()).collect();
            match self.claim(now, leases, share) {
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

    /// As many jobs as there are and are asked for, each with its lease, in the order of the leases.
    fn claim(&mut self, now: Timestamp, leases: Vec<Lease>, share: Share) -> Result<Vec<Versioned<Job>>, StoreError> {
        match &self.db {
            Db::Sqlite(sqlite) => sqlite.write_now(move |conn| {
                let count = i64::try_from(leases.len()).unwrap_or(i64::MAX);
                let abandoned = abandoned_jobs!(now, count).load(conn)?;
                conn.lease_jobs(abandoned, now, &leases, share, [&SQLITE_NEXT, &SQLITE_LIMITED])
            }),
            Db::Postgres(postgres) => {
                let mut conn = match self.conn.take() {
                    Some(conn) => conn,
                    None => checkout(&postgres.pool)?,
                };
                let claimed = (*conn).transaction(|conn| {
                    if share != Share::default() {
                        // Two that count at the same moment would both find room for one.
                        diesel::sql_query("SELECT pg_advisory_xact_lock(7262711)").execute(conn)?;
                    }
                    let count = i64::try_from(leases.len()).unwrap_or(i64::MAX);
                    let abandoned = abandoned_jobs!(now, count).for_update().skip_locked().load(conn)?;
                    conn.lease_jobs(abandoned, now, &leases, share, [&POSTGRES_NEXT, &POSTGRES_LIMITED])
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

/// The job with its lease, as the domain wants it.
fn leased(row: JobRow, stages: Vec<StageRow>, now: Timestamp, lease: Lease) -> Result<Versioned<Job>, StoreError> {
    let Versioned { value: job, revision } = row.into_domain(stages)?;
    let id = job.id.to_string();
    let refused = |refused| broken("job", &id, refused);
    let free = if job.status() == JobStatus::Running {
        job.advance(JobEvent::LeaseExpired, now).map_err(refused)?.0
    } else {
        job
    };
    let (value, _) = free.advance(JobEvent::Leased { lease }, now).map_err(refused)?;
    Ok(Versioned { value, revision: revision + 1 })
}

statements! {
    trait ClaimStatements {
        fn lease_jobs(
            conn,
            abandoned: Vec<JobRow>,
            now: Timestamp,
            leases: &[Lease],
            share: Share,
            statements: [&'static Template; 2]
        ) -> Result<Vec<Versioned<Job>>, TxError> {
            // The abandoned ones go first, then those that wait: all at once, or one by one where each one taken
            // leaves less room.
            let [next, limited] = statements;
            let mut leases = leases.iter();
            let mut claimed = conn.lease_rows(abandoned, now, &mut leases)?;
            let at = micros(now);
            if share == Share::default() {
                if leases.len() > 0 {
                    let count = i64::try_from(leases.len()).unwrap_or(i64::MAX);
                    let ids: Vec<String> = next.with([at, count]).load(conn)?;
                    let rows = conn.job_rows(&ids)?;
                    claimed.extend(conn.lease_rows(rows, now, &mut leases)?);
                }
                return Ok(claimed);
            }
            while leases.len() > 0 {
                let limits = [at, i64::from(share.per_repository), i64::from(share.per_actor)];
                let Some(id) = limited.with(limits).get_result::<String>(conn).optional()? else { break };
                let rows = conn.job_rows(&[id])?;
                claimed.extend(conn.lease_rows(rows, now, &mut leases)?);
            }
            Ok(claimed)
        }

        fn lease_rows(
            conn,
            rows: Vec<JobRow>,
            now: Timestamp,
            leases: &mut std::slice::Iter<'_, Lease>
        ) -> Result<Vec<Versioned<Job>>, TxError> {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            let mut stages = conn.stages_of_jobs(&ids)?;
            let mut claimed = Vec::new();
            let mut changed = Vec::new();
            for row in rows {
                let Some(lease) = leases.next() else { break };
                let (own, others) = stages.into_iter().partition(|stage| stage.job_id == row.id);
                stages = others;
                let job = leased(row, own, now, lease.clone())?;
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
