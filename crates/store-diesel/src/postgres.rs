//! PostgreSQL: a pool for everything, and a thread that writes new things of many callers in one transaction.

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use patchwright_core::store::StoreError;
use tokio::sync::oneshot;

use crate::db::{OpenError, TxError, checkout, open_pool};
use crate::queue::{GroupCommit, Queue};
use crate::schema::{delivery, effect, issue, job, job_stage};
use crate::step::{StepRows, StepStatements as _};

/// A PostgreSQL connection behind diesel's synchronous interface. It is used on blocking threads only.
pub(crate) type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, PgRuntime>;
pub(crate) type PgPool = Pool<ConnectionManager<PgConnection>>;

/// Drives the connections to PostgreSQL. The default would give each connection made by the pool's own threads a
/// runtime of its own, which moreover must not be dropped inside another one.
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

/// Connections per process.
const CONNECTIONS: u32 = 10;

struct Order {
    rows: StepRows,
    tell: oneshot::Sender<Result<(), StoreError>>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pub(crate) pool: PgPool,
    writer: Queue<Order>,
}

impl Postgres {
    pub(crate) fn open(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        let pool = open_pool(Pool::builder(), CONNECTIONS, ConnectionManager::<PgConnection>::new(url))?;
        let connections = pool.clone();
        let writer = Queue::start("postgres-writer", group, move |batch| write(&connections, batch))
            .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        Ok(Self { pool, writer })
    }

    /// Writes rows that are all new, together with those of other callers.
    pub(crate) async fn insert(&self, rows: StepRows) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.writer.push(Order { rows, tell })?;
        told.await.unwrap_or_else(|_| Err(StoreError::Unavailable { source: "the writer broke down".into() }))
    }
}

fn write(pool: &PgPool, batch: Vec<Order>) {
    match checkout(pool) {
        Ok(mut conn) => insert(&mut conn, batch),
        Err(error) => {
            let detail = error.to_string();
            for order in batch {
                let _ = order.tell.send(Err(StoreError::Unavailable { source: detail.clone().into() }));
            }
        }
    }
}

/// One transaction for all. PostgreSQL gives a transaction up at the first row that is there already, so the batch is
/// then halved until the repeated one stands alone and is told so.
fn insert(conn: &mut PgConnection, mut batch: Vec<Order>) {
    if let [_] = batch.as_slice() {
        let Some(order) = batch.pop() else { return };
        let result = conn.transaction(|conn| conn.write_rows(&order.rows));
        let _ = order.tell.send(result.map_err(StoreError::from));
        return;
    }
    match conn.transaction(|conn| insert_all(conn, &batch)) {
        Ok(()) => {
            for order in batch {
                let _ = order.tell.send(Ok(()));
            }
        }
        Err(_) => {
            let rest = batch.split_off(batch.len() / 2);
            insert(conn, batch);
            insert(conn, rest);
        }
    }
}

fn insert_all(conn: &mut PgConnection, batch: &[Order]) -> Result<(), TxError> {
    let rows = || batch.iter().map(|order| &order.rows);
    let deliveries: Vec<_> = rows().filter_map(|rows| rows.delivery.as_ref()).collect();
    let issues: Vec<_> = rows().filter_map(|rows| rows.issue.as_ref().map(|change| &change.row)).collect();
    let jobs: Vec<_> = rows().filter_map(|rows| rows.job.as_ref().map(|change| &change.row)).collect();
    let stages: Vec<_> = rows().flat_map(|rows| &rows.stages).collect();
    let effects: Vec<_> = rows().flat_map(|rows| &rows.effects).collect();
    // An empty list would still be a round trip.
    if !deliveries.is_empty() {
        diesel::insert_into(delivery::table).values(deliveries).execute(conn)?;
    }
    if !issues.is_empty() {
        diesel::insert_into(issue::table).values(issues).execute(conn)?;
    }
    if !jobs.is_empty() {
        diesel::insert_into(job::table).values(jobs).execute(conn)?;
    }
    if !stages.is_empty() {
        diesel::insert_into(job_stage::table).values(stages).execute(conn)?;
    }
    if !effects.is_empty() {
        diesel::insert_into(effect::table).values(effects).execute(conn)?;
    }
    Ok(())
}
