//! PostgreSQL: a pool of connections, and a thread that writes the steps of many callers in one statement.

use std::sync::LazyLock;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use patchwright_core::store::StoreError;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::db::{OpenError, TxError, checkout, open_pool};
use crate::queue::{GroupCommit, Queue};
use crate::row::issue::CHANGES as ISSUE_CHANGES;
use crate::row::job::{JobRow, JobStatements as _, STAGE_CHANGES, assignments as job_assignments};
use crate::row::json;
use crate::row::request::{DECISION, REQUESTED};
use crate::row::task::CHANGES as TASK_CHANGES;
use crate::stats::{BUCKET_KEY, SUM_KEY, SUMS};
use crate::step::{StepRows, StepStatements as _};

/// A PostgreSQL connection behind diesel's synchronous interface. It is used on blocking threads only.
pub(crate) type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, PgRuntime>;
pub(crate) type PgPool = Pool<ConnectionManager<PgConnection>>;

/// Drives the connections. The default would give each connection that the pool's own threads open a runtime of its own,
/// which must not be dropped inside another one.
#[derive(Debug)]
pub(crate) struct PgRuntime;

static PG_RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("postgres")
        .enable_all()
        .build()
        .expect("the system can start a thread")
});

impl BlockOn for PgRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        PG_RUNTIME.block_on(future)
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// The most connections of one process.
const MAX_CONNECTIONS: u32 = 10;

/// The step of one caller.
struct WriteRequest {
    rows: StepRows,
    /// The rows are freed on the caller's thread: see `sqlite::Reply`.
    reply: oneshot::Sender<(Result<(), StoreError>, StepRows)>,
}

impl WriteRequest {
    fn reply(self, result: Result<(), StoreError>) {
        // A caller that no longer waits needs no reply.
        let _ = self.reply.send((result, self.rows));
    }
}

/// A database on a server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    writer: Queue<WriteRequest>,
}

impl Postgres {
    pub(crate) fn open(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        let pool = open_pool(Pool::builder(), MAX_CONNECTIONS, ConnectionManager::<PgConnection>::new(url))?;
        let mut writer = Writer { pool: pool.clone(), conn: None };
        let writer = Queue::start("postgres-writer", group, move |batch| writer.write(batch))
            .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        Ok(Self { url: url.to_owned(), pool, writer })
    }

    /// Writes a step together with those of other callers.
    pub(crate) async fn write(&self, rows: StepRows) -> Result<(), StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.writer.push(WriteRequest { rows, reply })?;
        match receiver.await {
            Ok((result, _)) => result,
            Err(_) => Err(StoreError::Unavailable { source: "the writer thread panicked".into() }),
        }
    }
}

/// The writer thread. Its connection stays open, because the pool tests each one that it lends.
struct Writer {
    pool: PgPool,
    conn: Option<PooledConnection<ConnectionManager<PgConnection>>>,
}

impl Writer {
    fn write(&mut self, batch: Vec<WriteRequest>) {
        let mut conn = match self.conn.take().map_or_else(|| checkout(&self.pool), Ok) {
            Ok(conn) => conn,
            Err(error) => return refuse(batch, &error.to_string()),
        };
        // After anything but a refused row the connection may be dead; the pool tests the next one.
        if write(&mut conn, batch) {
            self.conn = Some(conn);
        }
    }
}

fn refuse(batch: Vec<WriteRequest>, detail: &str) {
    for request in batch {
        request.reply(Err(StoreError::Unavailable { source: detail.to_owned().into() }));
    }
}

/// Writes the batch in one statement, which is one transaction. It fails at the first row that exists already or was
/// changed meanwhile; then the batch is halved until the refused step is alone and gets its error. Returns whether the
/// connection is usable.
fn write(conn: &mut PgConnection, mut batch: Vec<WriteRequest>) -> bool {
    match (write_batch(conn, &batch), batch.len()) {
        (Ok(()), _) => {
            for request in batch {
                request.reply(Ok(()));
            }
            true
        }
        (Err(TxError::Diesel(error)), _) if is_lost(&error) => {
            refuse(batch, &error.to_string());
            false
        }
        (Err(_), 1) => batch.into_iter().fold(true, |_, request| {
            let result = conn.transaction(|conn| conn.write_rows(&request.rows)).map_err(StoreError::from);
            let usable = !matches!(result, Err(StoreError::Unavailable { .. }));
            request.reply(result);
            usable
        }),
        (Err(_), many) => {
            let rest = batch.split_off(many / 2);
            let first = write(conn, batch);
            write(conn, rest) && first
        }
    }
}

fn write_batch(conn: &mut PgConnection, batch: &[WriteRequest]) -> Result<(), TxError> {
    let new = NewRows::new(batch)?;
    if batch.iter().all(|request| request.rows.is_all_new()) {
        new.execute(conn)?;
    } else {
        Changes::new(new, batch)?.execute(conn)?;
    }
    Ok(())
}

/// Whether the connection was lost before the server answered.
fn is_lost(error: &DieselError) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    matches!(error, DieselError::DatabaseError(ClosedConnection | UnableToSendCommand, _))
}

/// The new rows of many steps as the parameters of one statement: six tables as JSON, which PostgreSQL reads into rows
/// by the names of their columns, and the deliveries as arrays, because their payloads are bytes.
#[derive(Default)]
struct NewRows<'a> {
    issues: String,
    jobs: String,
    stages: String,
    requests: String,
    effects: String,
    audit: String,
    platforms: Vec<&'a str>,
    ids: Vec<&'a str>,
    identities: Vec<Option<&'a str>>,
    event_types: Vec<&'a str>,
    job_ids: Vec<Option<&'a str>>,
    received: Vec<i64>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> NewRows<'a> {
    fn new(batch: &'a [WriteRequest]) -> Result<Self, TxError> {
        let rows = || batch.iter().map(|request| &request.rows);
        let mut new = Self {
            issues: all(rows().filter_map(|rows| rows.issue.as_ref()?.inserted()))?,
            jobs: all(rows().filter_map(|rows| rows.job.as_ref()?.inserted()))?,
            stages: all(rows().flat_map(|rows| &rows.stages))?,
            requests: all(rows().filter_map(|rows| rows.request.as_ref()?.inserted()))?,
            effects: all(rows().flat_map(|rows| &rows.effects))?,
            audit: all(rows().filter_map(|rows| rows.audit.as_ref()))?,
            ..Self::default()
        };
        for row in rows().filter_map(|rows| rows.delivery.as_ref()) {
            new.platforms.push(&row.platform);
            new.ids.push(&row.id);
            new.identities.push(row.identity.as_deref());
            new.event_types.push(&row.event_type);
            new.job_ids.push(row.job_id.as_deref());
            new.received.push(row.received_at);
            new.payloads.push(&row.payload);
        }
        Ok(new)
    }
}

/// Converts rows to a JSON list.
fn all<'r, T: Serialize + 'r>(rows: impl Iterator<Item = &'r T>) -> Result<String, StoreError> {
    json(&rows.collect::<Vec<_>>())
}

impl NewRows<'_> {
    /// Writes the inserts of all tables but the deliveries, as common table expressions.
    fn push_tables<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // References between the tables are checked at the end of the statement.
        let tables = [
            ("issue", &self.issues),
            ("job", &self.jobs),
            ("job_stage", &self.stages),
            ("trigger_request", &self.requests),
            ("effect", &self.effects),
            ("audit", &self.audit),
        ];
        for (position, (table, rows)) in tables.into_iter().enumerate() {
            out.push_sql(if position == 0 { "WITH " } else { ", " });
            out.push_sql(&format!(
                "new_{table} AS (INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, "
            ));
            out.push_bind_param::<Text, _>(rows)?;
            out.push_sql("::json)");
            if table == "job_stage" {
                out.push_sql(&on_conflict("job_id, stage", &STAGE_CHANGES));
            }
            out.push_sql(")");
        }
        Ok(())
    }

    fn push_deliveries<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            " INSERT INTO delivery (platform, id, identity, event_type, job_id, received_at, payload) \
             SELECT * FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.platforms)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.identities)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.event_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.job_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.received)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.payloads)?;
        out.push_sql(")");
        Ok(())
    }
}

fn on_conflict(key: &str, columns: &[&str]) -> String {
    let set: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(" ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
}

impl QueryFragment<Pg> for NewRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.push_tables(&mut out)?;
        self.push_deliveries(&mut out)
    }
}

/// The text never changes, so that a connection parses it once.
impl QueryId for NewRows<'_> {
    type QueryId = NewRows<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C> RunQueryDsl<C> for NewRows<'_> {}

/// The new and changed rows of many steps.
struct Changes<'a> {
    new: NewRows<'a>,
    issues: String,
    jobs: String,
    requests: String,
    tasks: String,
    settled: Vec<&'a str>,
    sums: String,
    buckets: String,
    /// How many issues, jobs and requests are updated; if another writer was faster, fewer rows match.
    counts: [i64; 3],
}

impl<'a> Changes<'a> {
    fn new(new: NewRows<'a>, batch: &'a [WriteRequest]) -> Result<Self, TxError> {
        let rows = || batch.iter().map(|request| &request.rows);
        let issues: Vec<_> = rows().filter_map(|rows| rows.issue.as_ref()?.updated()).collect();
        let jobs: Vec<_> = rows().filter_map(|rows| rows.job.as_ref()?.updated()).collect();
        let requests: Vec<_> = rows().filter_map(|rows| rows.request.as_ref()?.decided()).collect();
        let (sums, buckets) = crate::stats::merged(rows().filter_map(|rows| rows.ended.as_ref()));
        let count = |rows: usize| i64::try_from(rows).expect("a batch is small");
        Ok(Self {
            new,
            counts: [count(issues.len()), count(jobs.len()), count(requests.len())],
            issues: json(&issues)?,
            jobs: json(&jobs)?,
            requests: json(&requests)?,
            tasks: all(rows().filter_map(|rows| rows.task.as_ref()))?,
            sums: json(&sums)?,
            buckets: json(&buckets)?,
            settled: rows().filter_map(|rows| rows.settled.as_deref()).collect(),
        })
    }
}

/// Writes an update of the rows of a table that are one revision behind those that are given as JSON. `set` assigns from
/// `given`.
fn push_update<'b>(out: &mut AstPass<'_, 'b, Pg>, table: &str, set: &str, rows: &'b str) -> QueryResult<()> {
    out.push_sql(&format!("UPDATE {table} SET {set} FROM json_populate_recordset(NULL::{table}, "));
    out.push_bind_param::<Text, _>(rows)?;
    out.push_sql(&format!("::json) AS given WHERE {table}.id = given.id AND {table}.revision = given.revision - 1"));
    Ok(())
}

/// Writes an upsert that adds rows, given as JSON, to stored sums.
fn push_sums<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    table: &str,
    (key, columns): (&str, &[&str]),
    rows: &'b str,
) -> QueryResult<()> {
    out.push_sql(&format!(
        "added_{table} AS (INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, "
    ));
    out.push_bind_param::<Text, _>(rows)?;
    let set: Vec<String> =
        columns.iter().map(|column| format!("{column} = {table}.{column} + excluded.{column}")).collect();
    out.push_sql(&format!("::json) ON CONFLICT ({key}) DO UPDATE SET {})", set.join(", ")));
    Ok(())
}

impl QueryFragment<Pg> for Changes<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.new.push_tables(&mut out)?;
        out.push_sql(", new_delivery AS (");
        self.new.push_deliveries(&mut out)?;
        out.push_sql("), changed_issue AS (");
        let issue = ISSUE_CHANGES.map(|column| format!("{column} = given.{column}")).join(", ");
        push_update(&mut out, "issue", &issue, &self.issues)?;
        out.push_sql(" RETURNING 1), changed_job AS (");
        push_update(&mut out, "job", &job_assignments(), &self.jobs)?;
        out.push_sql(" RETURNING 1), decided_request AS (");
        let decision = DECISION.map(|column| format!("{column} = given.{column}")).join(", ");
        out.push_sql(&format!(
            "UPDATE trigger_request SET {decision} FROM json_populate_recordset(NULL::trigger_request, "
        ));
        out.push_bind_param::<Text, _>(&self.requests)?;
        out.push_sql(&format!(
            "::json) AS given WHERE trigger_request.id = given.id AND trigger_request.status = '{REQUESTED}'"
        ));
        out.push_sql(
            " RETURNING 1), changed_task AS (INSERT INTO task SELECT * FROM json_populate_recordset(NULL::task, ",
        );
        out.push_bind_param::<Text, _>(&self.tasks)?;
        out.push_sql("::json)");
        out.push_sql(&on_conflict("id", &TASK_CHANGES));
        out.push_sql("), settled AS (UPDATE effect SET status = 'done', error = NULL WHERE id = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.settled)?;
        out.push_sql(")), ");
        push_sums(&mut out, "run_sum", (SUM_KEY, &SUMS), &self.sums)?;
        out.push_sql(", ");
        push_sums(&mut out, "run_bucket", (BUCKET_KEY, &["runs"]), &self.buckets)?;
        // An update that matches no row must roll everything back: the division by zero fails the statement.
        out.push_sql(" SELECT 1 / (CASE WHEN (SELECT count(*) FROM changed_issue) = ");
        out.push_bind_param::<BigInt, _>(&self.counts[0])?;
        out.push_sql(" AND (SELECT count(*) FROM changed_job) = ");
        out.push_bind_param::<BigInt, _>(&self.counts[1])?;
        out.push_sql(" AND (SELECT count(*) FROM decided_request) = ");
        out.push_bind_param::<BigInt, _>(&self.counts[2])?;
        out.push_sql(" THEN 1 ELSE 0 END)");
        Ok(())
    }
}

impl QueryId for Changes<'_> {
    type QueryId = Changes<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C> RunQueryDsl<C> for Changes<'_> {}

/// Updates jobs whose rows the transaction has locked, without their stages.
pub(crate) trait UpdateJobs {
    fn update_jobs(&mut self, rows: &[JobRow]) -> Result<(), TxError>;
}

impl UpdateJobs for SqliteConnection {
    fn update_jobs(&mut self, rows: &[JobRow]) -> Result<(), TxError> {
        for row in rows {
            self.overwrite_job(row)?;
        }
        Ok(())
    }
}

impl UpdateJobs for PgConnection {
    fn update_jobs(&mut self, rows: &[JobRow]) -> Result<(), TxError> {
        ChangedJobs(json(&rows)?).execute(self)?;
        Ok(())
    }
}

struct ChangedJobs(String);

impl QueryFragment<Pg> for ChangedJobs {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        push_update(&mut out, "job", &job_assignments(), &self.0)
    }
}

impl QueryId for ChangedJobs {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C> RunQueryDsl<C> for ChangedJobs {}
