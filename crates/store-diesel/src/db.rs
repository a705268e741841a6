//! The two databases behind one type: opening, pooling, and running a closure on a connection.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use patchwright_core::store::StoreError;

/// A PostgreSQL connection behind diesel's synchronous interface. It is used on blocking threads only.
pub(crate) type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, PgRuntime>;

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

type SqlitePool = Pool<ConnectionManager<SqliteConnection>>;
type PgPool = Pool<ConnectionManager<PgConnection>>;

/// How long a request waits for a free connection before it is told that the database cannot be used now.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// Readers beside the one writer; WAL lets them go on while it writes.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL per process.
const PG_CONNECTIONS: u32 = 10;

/// The store on SQLite or PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct DieselStore {
    pub(crate) db: Db,
}

#[derive(Clone)]
pub(crate) enum Db {
    /// SQLite has one writer whatever we do; a pool of one makes the others wait in line instead of failing.
    Sqlite {
        writer: SqlitePool,
        reader: SqlitePool,
    },
    Postgres(PgPool),
}

/// A database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is neither.
    #[error("DATABASE_URL must begin with sqlite:// or postgres://, not `{scheme}`")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
    /// The folder of the SQLite file cannot be made.
    #[error("the folder {path} for the database cannot be made; create it or set DATABASE_URL or DATA_DIR")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection.
    #[error("the database cannot be opened ({detail}); check DATABASE_URL and that the server runs")]
    Connect {
        /// What the driver said.
        detail: String,
    },
    /// The thread that opened it broke down.
    #[error("the database could not be opened")]
    Thread,
}

impl DieselStore {
    /// Opens the database that the address names: `sqlite://PATH` (made if absent, with its folder) or `postgres://…`.
    ///
    /// # Errors
    /// [`OpenError`] when the address makes no sense or nothing answers there.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let url = url.to_owned();
        let db = tokio::task::spawn_blocking(move || Db::open(&url)).await.map_err(|_| OpenError::Thread)??;
        Ok(Self { db })
    }

    /// Runs a closure on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = self.db.clone();
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(|| work(&db)))
            .await
            .map_err(|error| StoreError::Broken { detail: format!("the database thread broke down: {error}") })?
    }
}

impl std::fmt::Debug for DieselStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.db {
            Db::Sqlite { .. } => "DieselStore(sqlite)",
            Db::Postgres(_) => "DieselStore(postgres)",
        })
    }
}

impl Db {
    fn open(url: &str) -> Result<Self, OpenError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            Self::open_sqlite(path)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let pool = Pool::builder()
                .max_size(PG_CONNECTIONS)
                .min_idle(Some(1))
                .connection_timeout(POOL_WAIT)
                .build(ConnectionManager::<PgConnection>::new(url))
                .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
            Ok(Self::Postgres(pool))
        } else {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            Err(OpenError::Scheme { scheme: scheme.to_owned() })
        }
    }

    fn open_sqlite(path: &str) -> Result<Self, OpenError> {
        if let Some(folder) = PathBuf::from(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        let pool = |size: u32| {
            Pool::builder()
                .max_size(size)
                .min_idle(Some(1))
                .connection_timeout(POOL_WAIT)
                .test_on_check_out(false)
                .connection_customizer(Box::new(Pragmas))
                .build(ConnectionManager::<SqliteConnection>::new(path))
                .map_err(|error| OpenError::Connect { detail: error.to_string() })
        };
        // The writer first: it makes the file and switches it to WAL before a reader looks.
        let writer = pool(1)?;
        Ok(Self::Sqlite { writer, reader: pool(SQLITE_READERS)? })
    }
}

/// What every SQLite connection is told first.
#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        // FULL and not NORMAL: with NORMAL a power cut takes back commits that were answered already.
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        )
        .map_err(diesel::r2d2::Error::QueryError)
    }
}

pub(crate) fn checkout<M>(pool: &Pool<M>) -> Result<PooledConnection<M>, StoreError>
where
    M: diesel::r2d2::ManageConnection,
{
    pool.get().map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

/// Evaluates an expression on a connection for reading.
macro_rules! read {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::db::Db::Sqlite { reader, .. } => {
                let $conn = &mut *$crate::db::checkout(reader)?;
                $body
            }
            $crate::db::Db::Postgres(pool) => {
                let $conn = &mut *$crate::db::checkout(pool)?;
                $body
            }
        }
    };
}

/// Evaluates statements that must all see one state of the database.
macro_rules! snapshot {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::db::Db::Sqlite { reader, .. } => {
                diesel::Connection::transaction(&mut *$crate::db::checkout(reader)?, |$conn| $body)
            }
            $crate::db::Db::Postgres(pool) => {
                diesel::Connection::transaction(&mut *$crate::db::checkout(pool)?, |$conn| {
                    diesel::connection::SimpleConnection::batch_execute(
                        $conn,
                        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    )?;
                    $body
                })
            }
        }
        .map_err($crate::db::store_error)
    };
}

/// Evaluates an expression in one write transaction. On SQLite it begins as a writer at once: a reader that becomes a
/// writer half-way would be refused instead of waiting.
macro_rules! write {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::db::Db::Sqlite { writer, .. } => {
                $crate::db::checkout(writer)?.immediate_transaction(|$conn| $body).map_err(StoreError::from)
            }
            $crate::db::Db::Postgres(pool) => {
                let mut conn = $crate::db::checkout(pool)?;
                diesel::Connection::transaction(&mut *conn, |$conn| $body).map_err(StoreError::from)
            }
        }
    };
}

/// Declares a trait of statements that are written once and compiled for both connection types. Inside, `$conn` is the
/// connection.
macro_rules! statements {
    ($vis:vis trait $name:ident { $(fn $fn:ident($conn:ident $(, $arg:ident: $ty:ty)*) -> $ret:ty $body:block)* }) => {
        $vis trait $name { $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret;)* }
        impl $name for diesel::SqliteConnection {
            $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret { let $conn = self; $body })*
        }
        impl $name for $crate::db::PgConnection {
            $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret { let $conn = self; $body })*
        }
    };
}

pub(crate) use {read, snapshot, statements, write};

/// What can go wrong inside a transaction; either rolls it back.
#[derive(Debug)]
pub(crate) enum TxError {
    Diesel(DieselError),
    Store(StoreError),
}

impl From<DieselError> for TxError {
    fn from(error: DieselError) -> Self {
        Self::Diesel(error)
    }
}

impl From<StoreError> for TxError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TxError> for StoreError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Store(error) => error,
            TxError::Diesel(error) => store_error(error),
        }
    }
}

/// What a database error means for the caller.
pub(crate) fn store_error(error: DieselError) -> StoreError {
    match error {
        // Two writers made the same new row; the second reads again and finds the first one's.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => StoreError::Stale { what: "row" },
        DieselError::DatabaseError(
            DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation,
            info,
        ) => StoreError::Broken { detail: info.message().to_owned() },
        error @ (DieselError::DatabaseError(..)
        | DieselError::BrokenTransactionManager
        | DieselError::RollbackErrorOnCommit { .. }) => StoreError::Unavailable { source: Box::new(error) },
        error => StoreError::Broken { detail: error.to_string() },
    }
}

/// A row that makes no sense is refused, never guessed at.
pub(crate) fn broken(table: &str, id: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Broken { detail: format!("{table} {id}: {what}") }
}
