//! PostgreSQL: a pool for everything, and a thread that writes new things of many callers in one transaction.

use std::sync::LazyLock;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use patchwright_core::store::StoreError;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::db::{OpenError, TxError, checkout, open_pool};
use crate::queue::{GroupCommit, Queue};
use crate::row::json;
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
    /// The rows go back with the result: see `sqlite::Pending`.
    tell: oneshot::Sender<(Result<(), StoreError>, StepRows)>,
}

impl Order {
    fn tell(self, result: Result<(), StoreError>) {
        let _ = self.tell.send((result, self.rows));
    }
}

/// The server.
#[derive(Clone)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    writer: Queue<Order>,
}

impl Postgres {
    pub(crate) fn open(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        let pool = open_pool(Pool::builder(), CONNECTIONS, ConnectionManager::<PgConnection>::new(url))?;
        let mut writer = Writer { pool: pool.clone(), conn: None };
        let writer = Queue::start("postgres-writer", group, move |batch| writer.write(batch))
            .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        Ok(Self { url: url.to_owned(), pool, writer })
    }

    /// Writes rows that are all new, together with those of other callers.
    pub(crate) async fn insert(&self, rows: StepRows) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.writer.push(Order { rows, tell })?;
        match told.await {
            Ok((result, _)) => result,
            Err(_) => Err(StoreError::Unavailable { source: "the writer broke down".into() }),
        }
    }
}

/// The thread that writes. It keeps its connection: taking one from the pool asks the server whether it is alive.
struct Writer {
    pool: PgPool,
    conn: Option<PooledConnection<ConnectionManager<PgConnection>>>,
}

impl Writer {
    fn write(&mut self, batch: Vec<Order>) {
        let mut conn = match self.conn.take().map_or_else(|| checkout(&self.pool), Ok) {
            Ok(conn) => conn,
            Err(error) => return refuse(batch, &error.to_string()),
        };
        // After anything but a refused row the connection may be dead; the pool finds that out.
        if insert(&mut conn, batch) {
            self.conn = Some(conn);
        }
    }
}

fn refuse(batch: Vec<Order>, detail: &str) {
    for order in batch {
        order.tell(Err(StoreError::Unavailable { source: detail.to_owned().into() }));
    }
}

/// One statement for all, which is one transaction. PostgreSQL gives it up at the first row that is there already, so the
/// batch is then halved until the repeated one stands alone and is told so. Says whether the connection is sound.
fn insert(conn: &mut PgConnection, mut batch: Vec<Order>) -> bool {
    let written = NewRows::new(&batch).and_then(|rows| Ok(rows.execute(conn)?));
    match (written.map_err(StoreError::from), batch.len()) {
        (Ok(_), _) => {
            for order in batch {
                order.tell(Ok(()));
            }
            true
        }
        (Err(StoreError::Unavailable { source }), _) => {
            refuse(batch, &source.to_string());
            false
        }
        (Err(_), 1) => batch.into_iter().fold(true, |_, order| {
            let result = conn.transaction(|conn| conn.write_rows(&order.rows)).map_err(StoreError::from);
            let sound = !matches!(result, Err(StoreError::Unavailable { .. }));
            order.tell(result);
            sound
        }),
        (Err(_), many) => {
            let rest = batch.split_off(many / 2);
            let first = insert(conn, batch);
            insert(conn, rest) && first
        }
    }
}

/// The new rows of many steps as the parameters of one statement: four tables as JSON, which PostgreSQL reads into rows
/// by the names of their columns, and the deliveries as arrays, because their payloads are bytes.
#[derive(Default)]
struct NewRows<'a> {
    issues: String,
    jobs: String,
    stages: String,
    effects: String,
    platforms: Vec<&'a str>,
    ids: Vec<&'a str>,
    identities: Vec<Option<&'a str>>,
    event_types: Vec<&'a str>,
    job_ids: Vec<Option<&'a str>>,
    received: Vec<i64>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> NewRows<'a> {
    fn new(batch: &'a [Order]) -> Result<Self, TxError> {
        fn all<'r, T: Serialize + 'r>(rows: impl Iterator<Item = &'r T>) -> Result<String, StoreError> {
            json(&rows.collect::<Vec<_>>())
        }
        let rows = || batch.iter().map(|order| &order.rows);
        let mut new = Self {
            issues: all(rows().filter_map(|rows| rows.issue.as_ref().map(|change| &change.row)))?,
            jobs: all(rows().filter_map(|rows| rows.job.as_ref().map(|change| &change.row)))?,
            stages: all(rows().flat_map(|rows| &rows.stages))?,
            effects: all(rows().flat_map(|rows| &rows.effects))?,
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

impl QueryFragment<Pg> for NewRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // References between the tables are checked when the whole statement is done.
        let tables =
            [("issue", &self.issues), ("job", &self.jobs), ("job_stage", &self.stages), ("effect", &self.effects)];
        for (position, (table, rows)) in tables.into_iter().enumerate() {
            out.push_sql(if position == 0 { "WITH " } else { ", " });
            out.push_sql(&format!(
                "new_{table} AS (INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, "
            ));
            out.push_bind_param::<Text, _>(rows)?;
            out.push_sql("::json))");
        }
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

/// The statement never changes, so that it is parsed once a connection.
impl QueryId for NewRows<'_> {
    type QueryId = NewRows<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C> RunQueryDsl<C> for NewRows<'_> {}
