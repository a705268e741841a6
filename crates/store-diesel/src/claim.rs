//! Claims of jobs and effects, each by one worker at a time. Requests that wait at the same moment are served by one
//! transaction.

use std::sync::{Arc, LazyLock};

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, PooledConnection};
use diesel::sql_types::BigInt;
use jiff::Timestamp;
use patchwright_core::store::{Claimant, ClaimedEffect, ConcurrencyLimits, MAX_LEASE, StoreError, Versioned};
use patchwright_domain::job::JobEvent;
use patchwright_domain::node::Needs;
use patchwright_domain::{EffectKind, Job, JobStatus};
use tokio::sync::oneshot;

use crate::db::{Db, TxError, blocking, checkout, corrupt_row, statements};
use crate::postgres::{PgConnection, UpdateJobs as _};
use crate::queue::{GroupCommit, Queue};
use crate::row::effect::{EffectRow, EffectStatements, WAITING};
use crate::row::job::{JobRow, JobStatements, StageRow};
use crate::row::{micros, unsigned};
use crate::schema::{effect, job};
use crate::template::Template;

/// The key of the advisory lock that serializes claims under concurrency limits on PostgreSQL: two claims that count
/// the running jobs at the same time would both find room for the last one. Advisory locks are shared by everything
/// that uses the database, so the number must not be used by other programs; replicas of different versions must agree
/// on it.
const CLAIM_LOCK_KEY: i64 = 7_262_711;

/// The jobs whose leases have expired, the oldest ones first. A lease that ends later than any that is granted now was
/// granted before the clock was set back, and counts as expired.
macro_rules! expired_jobs {
    ($now:expr, $count:expr, $runnable:expr) => {{
        let latest = micros($now.saturating_add(MAX_LEASE).unwrap_or(Timestamp::MAX));
        job::table
            .filter(job::status.eq(JobStatus::Running.as_str()))
            .filter(job::lease_until.le(micros($now)).or(job::lease_until.gt(latest)))
            .filter(job::needs.eq_any($runnable))
            .order((job::lease_until.asc(), job::id.asc()))
            .limit($count)
            .select(JobRow::as_select())
    }};
}

/// The common part of the statements that find waiting jobs: it steps through the index from repository to repository,
/// so that ten thousand jobs of one are not read before the first of another.
const REPOSITORIES: &str = "WITH RECURSIVE waiting (repo) AS (
        SELECT min(repo) FROM job WHERE status = 'queued'
        UNION ALL
        SELECT (SELECT min(job.repo) FROM job WHERE job.status = 'queued' AND job.repo > waiting.repo)
        FROM waiting WHERE waiting.repo IS NOT NULL
    ), busy (repo, jobs) AS (
        SELECT repo, count(*) FROM job WHERE status = 'running' GROUP BY repo
    )";

/// The condition for a job of the repository that may run at `{0}`, whose needs match `needs`, and that has no earlier open
/// job of the same issue.
fn may_run(needs: &str) -> String {
    format!(
        "job.status = 'queued' AND job.repo = waiting.repo AND job.not_before <= {{0}} AND job.needs {needs}
        AND NOT EXISTS (SELECT 1 FROM job AS earlier WHERE earlier.issue_id = job.issue_id AND earlier.id < job.id
            AND earlier.status IN ('queued', 'running', 'publishing'))"
    )
}

/// The two statements of a database: for the next jobs without limits, and for the next job within limits.
struct Next {
    unlimited: Template,
    limited: Template,
}

/// The next `{1}` jobs without limits. Each job that is claimed counts as running for the next one of its repository.
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

/// SQLite has no lateral joins, so it looks each candidate up a second time.
fn sqlite_next(needs: &str) -> Next {
    let may_run = may_run(needs);
    let unlimited = next_jobs(&format!(
        "JOIN job AS candidate ON candidate.id IN (
            SELECT job.id FROM job WHERE {may_run} ORDER BY job.rank, job.not_before, job.id LIMIT {{1}})"
    ));
    let limited = Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM (
            SELECT coalesce(busy.jobs, 0) AS jobs, (
                SELECT job.id FROM job WHERE {may_run} AND {ACTOR_HAS_ROOM}
                ORDER BY job.rank, job.not_before, job.id LIMIT 1
            ) AS id
            FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo WHERE waiting.repo IS NOT NULL
        ) AS candidate JOIN job ON job.id = candidate.id
        WHERE {{1}} = 0 OR candidate.jobs < {{1}}
        ORDER BY candidate.jobs, job.rank, job.not_before, job.id LIMIT 1"
    ));
    Next { unlimited, limited }
}

/// Candidates are locked; concurrent claims skip them.
fn postgres_next(needs: &str) -> Next {
    let may_run = may_run(needs);
    let unlimited = next_jobs(&format!(
        "CROSS JOIN LATERAL (
            SELECT job.id, job.rank, job.not_before FROM job WHERE {may_run}
            ORDER BY job.rank, job.not_before, job.id LIMIT {{1}} FOR UPDATE SKIP LOCKED) AS candidate"
    ));
    let limited = Template::new(&format!(
        "{REPOSITORIES}
        SELECT candidate.id AS id FROM waiting LEFT JOIN busy ON busy.repo = waiting.repo
        CROSS JOIN LATERAL (
            SELECT job.id, job.rank, job.not_before FROM job WHERE {may_run} AND {ACTOR_HAS_ROOM}
            ORDER BY job.rank, job.not_before, job.id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS candidate
        WHERE waiting.repo IS NOT NULL AND ({{1}} = 0 OR coalesce(busy.jobs, 0) < {{1}})
        ORDER BY coalesce(busy.jobs, 0), candidate.rank, candidate.not_before, candidate.id LIMIT 1"
    ));
    Next { unlimited, limited }
}

/// For claims of jobs without requirements, which are most.
static SQLITE_PLAIN: LazyLock<Next> = LazyLock::new(|| sqlite_next("= ''"));
static POSTGRES_PLAIN: LazyLock<Next> = LazyLock::new(|| postgres_next("= ''"));

/// Returns the statements for a claimant that can run jobs with one of these needs.
fn next_for<'a>(
    runnable: &[String],
    plain: &'a Next,
    make: fn(&str) -> Next,
    buffer: &'a mut Option<Next>,
) -> &'a Next {
    if runnable.iter().all(String::is_empty) {
        return plain;
    }
    // The text of `Needs` holds no quotes.
    let list: Vec<String> = runnable.iter().map(|needs| format!("'{needs}'")).collect();
    buffer.insert(make(&format!("IN ({})", list.join(", "))))
}

/// The condition that fewer than `{2}` jobs of the job's actor run; 0 stands for no limit.
const ACTOR_HAS_ROOM: &str = "({2} = 0 OR job.actor NOT IN (SELECT other.actor FROM job AS other
    WHERE other.status = 'running' GROUP BY other.actor HAVING count(*) >= {2}))";

/// The request of one worker for a job.
pub(crate) struct ClaimRequest {
    now: Timestamp,
    claimant: Arc<dyn Claimant>,
    limits: ConcurrencyLimits,
    reply: oneshot::Sender<Result<Option<Versioned<Job>>, StoreError>>,
}

/// The queue of requests for jobs.
#[derive(Clone)]
pub(crate) struct ClaimQueue(Queue<ClaimRequest>);

impl ClaimQueue {
    /// Starts the thread that serves the queue.
    pub(crate) fn start(db: &Db) -> std::io::Result<Self> {
        let mut worker = ClaimWorker { db: db.clone(), conn: None };
        Queue::start("claims", GroupCommit::default(), move |requests| worker.serve(requests)).map(Self)
    }

    pub(crate) async fn claim(
        &self,
        now: Timestamp,
        claimant: Arc<dyn Claimant>,
        limits: ConcurrencyLimits,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.0.push(ClaimRequest { now, claimant, limits, reply })?;
        receiver.await.map_err(|_| StoreError::Unavailable { source: "the thread that claims jobs panicked".into() })?
    }
}

/// The thread that serves the queue.
struct ClaimWorker {
    db: Db,
    /// A connection to PostgreSQL that stays open, because the pool tests each one that it lends.
    conn: Option<PooledConnection<ConnectionManager<PgConnection>>>,
}

impl ClaimWorker {
    fn serve(&mut self, mut requests: Vec<ClaimRequest>) {
        while let Some(first) = requests.first() {
            // The workers of a server have the same limits and most of them run jobs without requirements: those share
            // a transaction. Every other claimant has its own.
            let (now, limits) = (first.now, first.limits);
            let (same, rest): (Vec<ClaimRequest>, Vec<ClaimRequest>) = if first.claimant.is_plain() {
                requests.into_iter().partition(|request| request.limits == limits && request.claimant.is_plain())
            } else {
                let rest = requests.split_off(1);
                (requests, rest)
            };
            requests = rest;
            let claimants = same.iter().map(|request| Arc::clone(&request.claimant)).collect();
            match self.claim(now, claimants, limits) {
                Ok(claimed) => {
                    let claimed = claimed.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                    // The lease of a worker that no longer waits expires.
                    same.into_iter().zip(claimed).for_each(|(request, job)| drop(request.reply.send(Ok(job))));
                }
                Err(error) => {
                    let detail = error.to_string();
                    for request in same {
                        let source = detail.clone().into();
                        drop(request.reply.send(Err(StoreError::Unavailable { source })));
                    }
                }
            }
        }
    }

    /// Claims one job for each claimant, in their order, as long as there are jobs.
    fn claim(
        &mut self,
        now: Timestamp,
        claimants: Vec<Arc<dyn Claimant>>,
        limits: ConcurrencyLimits,
    ) -> Result<Vec<Versioned<Job>>, StoreError> {
        let count = i64::try_from(claimants.len()).unwrap_or(i64::MAX);
        match &self.db {
            Db::Sqlite(sqlite) => sqlite.write_blocking(move |conn| {
                let runnable = conn.runnable(claimants.as_slice())?;
                let mut buffer = None;
                let next = next_for(&runnable, &SQLITE_PLAIN, sqlite_next, &mut buffer);
                let expired = expired_jobs!(now, count, &runnable).load(conn)?;
                conn.lease_jobs(expired, now, &claimants, limits, next)
            }),
            Db::Postgres(postgres) => {
                let mut conn = match self.conn.take() {
                    Some(conn) => conn,
                    None => checkout(&postgres.pool)?,
                };
                let claimed = (*conn).transaction(|conn| {
                    if limits != ConcurrencyLimits::default() {
                        let lock = diesel::sql_query("SELECT pg_advisory_xact_lock($1)");
                        lock.bind::<BigInt, _>(CLAIM_LOCK_KEY).execute(conn)?;
                    }
                    let runnable = conn.runnable(claimants.as_slice())?;
                    let mut buffer = None;
                    let next = next_for(&runnable, &POSTGRES_PLAIN, postgres_next, &mut buffer);
                    let expired = expired_jobs!(now, count, &runnable).for_update().skip_locked().load(conn)?;
                    conn.lease_jobs(expired, now, &claimants, limits, next)
                });
                if claimed.is_ok() {
                    self.conn = Some(conn);
                }
                claimed.map_err(|error: TxError| error.into())
            }
        }
    }
}

/// The oldest due effect whose issue has no older waiting effect, among those that have an order.
macro_rules! next_effect {
    ($older:expr, $now:expr) => {
        effect::table
            .filter(effect::status.eq(WAITING))
            .filter(effect::not_before.le($now))
            .filter(
                effect::kind.eq(UNORDERED).or(diesel::dsl::not(diesel::dsl::exists(
                    $older
                        .filter($older.field(effect::issue_id).eq(effect::issue_id))
                        .filter($older.field(effect::status).eq(WAITING))
                        .filter($older.field(effect::kind).ne(UNORDERED))
                        .filter($older.field(effect::id).lt(effect::id)),
                ))),
            )
            .order(effect::id)
            .limit(1)
            .select(EffectRow::as_select())
    };
}

diesel::alias!(effect as older_effect: OlderEffect);

/// The one kind of effects without an order ([`EffectKind::is_ordered`]).
const UNORDERED: &str = EffectKind::ReadCi.as_str();

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

/// Returns the job with the claimant's lease; `None` when the claimant does not take it.
fn leased(
    row: JobRow,
    stages: Vec<StageRow>,
    now: Timestamp,
    claimant: &dyn Claimant,
) -> Result<Option<Versioned<Job>>, StoreError> {
    let Versioned { value: job, revision } = row.into_domain(stages)?;
    let Some(lease) = claimant.lease(&job) else { return Ok(None) };
    let id = job.id.to_string();
    let refused = |refused| corrupt_row("job", &id, refused);
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
        fn runnable(conn, claimants: &[Arc<dyn Claimant>]) -> Result<Vec<String>, TxError> {
            // The needs of open jobs that the claimant can run; mostly only the empty ones.
            let mut runnable = vec![String::new()];
            let Some(claimant) = claimants.first().filter(|claimant| !claimant.is_plain()) else {
                return Ok(runnable);
            };
            let needs: Vec<String> = job::table
                .filter(job::needs.ne("").and(job::status.eq_any(["queued", "running"])))
                .select(job::needs)
                .distinct()
                .load(conn)?;
            runnable.extend(needs.into_iter().filter(|text| text.parse().is_ok_and(|needs| claimant.can(&needs))));
            if !claimant.can(&Needs::default()) {
                runnable.remove(0);
            }
            Ok(runnable)
        }

        fn lease_jobs(
            conn,
            expired: Vec<JobRow>,
            now: Timestamp,
            claimants: &[Arc<dyn Claimant>],
            limits: ConcurrencyLimits,
            next: &Next
        ) -> Result<Vec<Versioned<Job>>, TxError> {
            // Jobs with expired leases are first, then waiting ones: all at once, or one by one within limits, because
            // each claim counts against them.
            let mut claimants = claimants.iter();
            let mut claimed = conn.lease_rows(expired, now, &mut claimants)?;
            let at = micros(now);
            if limits == ConcurrencyLimits::default() {
                if claimants.len() > 0 {
                    let count = i64::try_from(claimants.len()).unwrap_or(i64::MAX);
                    let ids: Vec<String> = next.unlimited.with([at, count]).load(conn)?;
                    let rows = conn.job_rows(&ids)?;
                    claimed.extend(conn.lease_rows(rows, now, &mut claimants)?);
                }
                return Ok(claimed);
            }
            while claimants.len() > 0 {
                let bounds = [at, i64::from(limits.per_repository), i64::from(limits.per_actor)];
                let Some(id) = next.limited.with(bounds).get_result::<String>(conn).optional()? else { break };
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
            let ids: Vec<&str> = rows.iter().map(JobRow::id).collect();
            let mut stages = conn.stages_of_jobs(&ids)?;
            let mut claimed = Vec::new();
            let mut changed = Vec::new();
            for row in rows {
                let Some(claimant) = claimants.next() else { break };
                let (own, others) = stages.into_iter().partition(|stage| stage.summary.job_id == row.id());
                stages = others;
                let Some(job) = leased(row, own, now, claimant.as_ref())? else { continue };
                changed.push(JobRow::new(&job.value, job.revision)?);
                claimed.push(job);
            }
            conn.update_jobs(&changed)?;
            Ok(claimed)
        }

        fn take_effect(conn, row: Option<EffectRow>, until: Timestamp) -> Result<Option<ClaimedEffect>, TxError> {
            let Some(row) = row else { return Ok(None) };
            let attempts = row.attempts + 1;
            conn.claim_effect_row(&row.id, attempts, micros(until))?;
            let attempt = unsigned("effect", &row.id, attempts)?;
            Ok(Some(ClaimedEffect { record: row.into_domain()?, attempt }))
        }
    }
}
