//! The two databases behind one type: opening, pooling, and running a closure on a connection.

use std::path::PathBuf;
use std::time::Duration;

use diesel::r2d2::{Builder, ManageConnection, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use patchwright_core::store::StoreError;

use crate::claim::Claims;
use crate::postgres::Postgres;
use crate::queue::GroupCommit;
use crate::sqlite::Sqlite;

/// How long a request waits for a free connection or a lock before it is told that the database cannot be used now.
pub(crate) const POOL_WAIT: Duration = Duration::from_secs(5);

/// The store on SQLite or PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct DieselStore {
    pub(crate) db: Db,
    pub(crate) claims: Claims,
}

#[derive(Clone)]
pub(crate) enum Db {
    /// SQLite has one writer whatever we do: a thread of its own lets many callers share one synced commit.
    Sqlite(Sqlite),
    Postgres(Postgres),
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
    /// Whether the database is PostgreSQL.
    pub const fn is_postgres(&self) -> bool {
        matches!(self.db, Db::Postgres(_))
    }

    /// Opens the database that the address names: `sqlite://PATH` (made if absent, with its folder) or `postgres://…`.
    ///
    /// # Errors
    /// [`OpenError`] when the address makes no sense or nothing answers there.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, GroupCommit::default()).await
    }

    /// The same with another way to gather writes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, group: GroupCommit) -> Result<Self, OpenError> {
        let url = url.to_owned();
        let db = tokio::task::spawn_blocking(move || Db::open(&url, group)).await.map_err(|_| OpenError::Thread)??;
        let claims = Claims::start(&db).map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        Ok(Self { db, claims })
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
        .map_err(|error| StoreError::Corrupt { detail: format!("the database thread broke down: {error}") })?
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
        .connection_timeout(POOL_WAIT)
        .build(manager)
        .map_err(|error| OpenError::Connect { detail: error.to_string() })
}

pub(crate) fn checkout<M>(pool: &Pool<M>) -> Result<PooledConnection<M>, StoreError>
where
    M: ManageConnection,
{
    pool.get().map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

/// Evaluates an expression on a connection for reading.
macro_rules! read {
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

/// Evaluates statements that must all see one state of the database.
macro_rules! snapshot {
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

/// Evaluates an expression in one write transaction: on SQLite in the writer's next one, on PostgreSQL in one of its
/// own. The expression owns what it uses and ends in a `Result<_, TxError>`.
macro_rules! write {
    ($store:expr, $conn:ident => $body:expr) => {
        match &$store.db {
            $crate::db::Db::Sqlite(sqlite) => sqlite.write(move |$conn| $body).await,
            $crate::db::Db::Postgres(postgres) => {
                let pool = postgres.pool.clone();
                $crate::db::blocking(move || {
                    let mut conn = $crate::db::checkout(&pool)?;
                    diesel::Connection::transaction(&mut *conn, |$conn| $body).map_err(StoreError::from)
                })
                .await
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
        impl $name for $crate::postgres::PgConnection {
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
        ) => StoreError::Corrupt { detail: info.message().to_owned() },
        error @ (DieselError::DatabaseError(..)
        | DieselError::BrokenTransactionManager
        | DieselError::RollbackErrorOnCommit { .. }) => StoreError::Unavailable { source: Box::new(error) },
        error => StoreError::Corrupt { detail: error.to_string() },
    }
}

/// A row that makes no sense is refused, never guessed at.
pub(crate) fn broken(table: &str, id: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { detail: format!("{table} {id}: {what}") }
}
