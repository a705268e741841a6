//! The two databases behind one type: opening, pooling, and running statements in a transaction.

use std::path::PathBuf;
use std::time::Duration;

use diesel::r2d2::{Builder, ManageConnection, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use patchwright_core::fault::Fault;
use patchwright_core::store::StoreError;

use crate::claim::ClaimQueue;
use crate::postgres::Postgres;
use crate::queue::GroupCommit;
use crate::sqlite::Sqlite;

/// How long a request waits for a free connection or a lock before it fails with [`StoreError::Unavailable`].
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The store on SQLite or PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct DieselStore {
    pub(crate) db: Db,
    pub(crate) claims: ClaimQueue,
}

#[derive(Clone)]
pub(crate) enum Db {
    /// SQLite has one writer at a time: on a thread of its own, many callers share one synced commit.
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is of another database.
    #[error("the database address must begin with sqlite:// or postgres://, not `{scheme}`")]
    Scheme {
        /// The scheme of the address.
        scheme: String,
    },
    /// The folder of the SQLite file cannot be created.
    #[error("the folder {path} for the database cannot be created; create it or choose another database path")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database does not accept a connection.
    #[error("the database cannot be opened ({detail}); check the database address and that the database server runs")]
    Connect {
        /// The driver's message.
        detail: String,
    },
    /// The thread that opens the database panicked.
    #[error("the database could not be opened")]
    Thread,
}

impl OpenError {
    /// What the caller can do about it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Scheme { .. } | Self::Folder { .. } => Fault::Denied,
            Self::Connect { .. } => Fault::RETRY,
            Self::Thread => Fault::Internal,
        }
    }
}

impl DieselStore {
    /// Whether the database is PostgreSQL.
    pub const fn is_postgres(&self) -> bool {
        matches!(self.db, Db::Postgres(_))
    }

    /// Opens the database at an address: `sqlite://PATH` (created if absent, with its folder) or `postgres://…`.
    ///
    /// # Errors
    /// [`OpenError`] when the address is of another database, or no connection can be opened.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, GroupCommit::default()).await
    }

    /// Opens the database with other options for the grouping of writes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        let url = url.to_owned();
        let db = tokio::task::spawn_blocking(move || Db::open(&url, group)).await.map_err(|_| OpenError::Thread)??;
        let claims = ClaimQueue::start(&db).map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        Ok(Self { db, claims })
    }

    /// Returns how many connections of the pool are in use, and how many there are. On SQLite these are the readers.
    pub fn connections(&self) -> (u32, u32) {
        let state = match &self.db {
            Db::Sqlite(sqlite) => sqlite.readers.state(),
            Db::Postgres(postgres) => postgres.pool.state(),
        };
        (state.connections.saturating_sub(state.idle_connections), state.connections)
    }

    /// Runs a closure on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = self.db.clone();
        blocking(move || work(&db)).await
    }
}

/// Runs a closure on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|error| StoreError::Corrupt { detail: format!("the database thread panicked: {error}") })?
}

impl std::fmt::Debug for DieselStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.db {
            Db::Sqlite(_) => "DieselStore(sqlite)",
            Db::Postgres(_) => "DieselStore(postgres)",
        })
    }
}

impl Db {
    fn open(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            Sqlite::open(path, group).map(Self::Sqlite)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Postgres::open(url, group).map(Self::Postgres)
        } else {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            Err(OpenError::Scheme { scheme: scheme.to_owned() })
        }
    }
}

pub(crate) fn open_pool<M: ManageConnection>(builder: Builder<M>, size: u32, manager: M) -> Result<Pool<M>, OpenError> {
    builder
        .max_size(size)
        .min_idle(Some(1))
        .connection_timeout(CONNECTION_TIMEOUT)
        .build(manager)
        .map_err(|error| OpenError::Connect { detail: error.to_string() })
}

pub(crate) fn checkout<M>(pool: &Pool<M>) -> Result<PooledConnection<M>, StoreError>
where
    M: ManageConnection,
{
    pool.get().map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

/// Evaluates an expression on a connection for reading. A single statement is a transaction of its own.
macro_rules! in_read_tx {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::db::Db::Sqlite(sqlite) => {
                let $conn = &mut *$crate::db::checkout(&sqlite.readers)?;
                $body
            }
            $crate::db::Db::Postgres(postgres) => {
                let $conn = &mut *$crate::db::checkout(&postgres.pool)?;
                $body
            }
        }
    };
}

/// Evaluates statements that must all read the same state of the database.
macro_rules! in_snapshot {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::db::Db::Sqlite(sqlite) => {
                diesel::Connection::transaction(&mut *$crate::db::checkout(&sqlite.readers)?, |$conn| $body)
            }
            $crate::db::Db::Postgres(postgres) => {
                diesel::Connection::transaction(&mut *$crate::db::checkout(&postgres.pool)?, |$conn| {
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

/// Evaluates an expression in one write transaction: on SQLite in the next one of the writer, on PostgreSQL in one of its
/// own. The expression owns what it uses and is a `Result<_, TxError>`; an error rolls its statements back.
macro_rules! in_write_tx {
    ($store:expr, $conn:ident => $body:expr) => {
        match &$store.db {
            $crate::db::Db::Sqlite(sqlite) => {
                sqlite.write(move |$conn| -> Result<_, $crate::db::TxError> { $body }).await
            }
            $crate::db::Db::Postgres(postgres) => {
                let pool = postgres.pool.clone();
                $crate::db::blocking(move || {
                    let mut conn = $crate::db::checkout(&pool)?;
                    let work = |$conn: &mut $crate::postgres::PgConnection| -> Result<_, $crate::db::TxError> { $body };
                    Ok(diesel::Connection::transaction(&mut *conn, work)?)
                })
                .await
            }
        }
    };
}

/// Declares a trait of statements that are written once and compiled for both connection types. In their bodies, `$conn`
/// is the connection.
macro_rules! statements {
    ($vis:vis trait $name:ident { $(fn $fn:ident($conn:ident $(, $arg:ident: $ty:ty)*) -> $ret:ty $body:block)* }) => {
        $vis trait $name { $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret;)* }
        impl $name for diesel::SqliteConnection {
            $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret { let $conn = self; $body })*
        }
        impl $name for $crate::postgres::PgConnection {
            $(fn $fn(&mut self $(, $arg: $ty)*) -> $ret { let $conn = self; $body })*
        }
    };
}

pub(crate) use {in_read_tx, in_snapshot, in_write_tx, statements};

/// An error inside a transaction, which rolls it back.
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

/// Converts a database error to what it means for the caller.
pub(crate) fn store_error(error: DieselError) -> StoreError {
    match error {
        // Two writers inserted the same row at the same time; the second reads again and finds that of the first.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => StoreError::Stale { what: "row" },
        DieselError::DatabaseError(
            DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation,
            info,
        ) => StoreError::Corrupt { detail: info.message().to_owned() },
        error @ (DieselError::DatabaseError(..)
        | DieselError::BrokenTransactionManager
        | DieselError::RollbackErrorOnCommit { .. }) => StoreError::Unavailable { source: Box::new(error) },
        error => StoreError::Corrupt { detail: error.to_string() },
    }
}

/// A row with a value that the domain does not know. It is refused and never replaced by a default.
pub(crate) fn corrupt_row(table: &str, id: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { detail: format!("{table} {id}: {what}") }
}
