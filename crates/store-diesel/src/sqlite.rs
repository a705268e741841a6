//! SQLite: one writer thread, which commits everything that waits at once, and a few readers beside it.

use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use patchwright_core::store::StoreError;
use tokio::sync::oneshot;

use crate::db::{OpenError, POOL_WAIT, TxError, open_pool};
use crate::queue::{GroupCommit, Queue};

/// Readers beside the one writer; WAL lets them go on while it writes.
const READERS: u32 = 4;

/// One caller's work inside the common transaction. It returns whether the transaction can go on, and how to tell the
/// caller once it is committed. Dropped unused, it tells the caller that nothing was written.
type Order = Box<dyn FnOnce(&mut SqliteConnection) -> (bool, Told) + Send>;
type Told = Box<dyn FnOnce() + Send>;

/// The database in a file.
#[derive(Clone)]
pub(crate) struct Sqlite {
    path: String,
    pub(crate) readers: Pool<ConnectionManager<SqliteConnection>>,
    writer: Queue<Order>,
}

impl Sqlite {
    pub(crate) fn open(path: &str, group: GroupCommit) -> Result<Self, OpenError> {
        if let Some(folder) = PathBuf::from(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        // The writer first: it makes the file and switches it to WAL before a reader looks.
        let failed = |error: ConnectionError| OpenError::Connect { detail: error.to_string() };
        let mut writer = Writer { path: path.to_owned(), conn: Some(connect(path).map_err(failed)?) };
        let writer = Queue::start("sqlite-writer", group, move |batch| writer.write(batch))
            .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        let manager = ConnectionManager::new(path);
        let readers = open_pool(
            Pool::builder().test_on_check_out(false).connection_customizer(Box::new(Pragmas)),
            READERS,
            manager,
        )?;
        Ok(Self { path: path.to_owned(), readers, writer })
    }

    /// A connection of its own, for migrations.
    pub(crate) fn connect(&self) -> Result<SqliteConnection, StoreError> {
        connect(&self.path).map_err(|error| StoreError::Unavailable { source: Box::new(error) })
    }

    /// Runs a closure in the writer's next transaction and returns when that is safe on disk. An error takes back what
    /// the closure wrote, and nothing else.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        self.writer.push(Box::new(move |conn| {
            // Inside the writer's transaction this one is a savepoint.
            let result = conn.transaction(work).map_err(StoreError::from);
            // After an error of the database itself SQLite may have ended the whole transaction already.
            let sound = !matches!(result, Err(StoreError::Unavailable { .. }));
            (sound, Box::new(move || drop(tell.send(result))))
        }))?;
        told.await.unwrap_or_else(|_| Err(StoreError::Unavailable { source: "the commit failed; see the log".into() }))
    }
}

struct Writer {
    path: String,
    conn: Option<SqliteConnection>,
}

impl Writer {
    fn write(&mut self, batch: Vec<Order>) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.commit(batch)));
        let error = match caught {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => "a write broke down".to_owned(),
        };
        tracing::error!(%error, "a batch of writes was taken back");
        // Whatever state the connection is in, a new one is in none.
        self.conn = None;
    }

    fn commit(&mut self, batch: Vec<Order>) -> Result<(), String> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(connect(&self.path).map_err(|error| error.to_string())?),
        };
        let mut told = Vec::with_capacity(batch.len());
        let written = conn.immediate_transaction(|conn| {
            for order in batch {
                let (sound, tell) = order(conn);
                told.push(tell);
                if !sound {
                    return Err(diesel::result::Error::RollbackTransaction);
                }
            }
            Ok(())
        });
        written.map_err(|error| error.to_string())?;
        told.into_iter().for_each(|tell| tell());
        Ok(())
    }
}

fn connect(path: &str) -> Result<SqliteConnection, ConnectionError> {
    let mut conn = SqliteConnection::establish(path)?;
    pragmas(&mut conn).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

fn pragmas(conn: &mut SqliteConnection) -> QueryResult<()> {
    // FULL and not NORMAL: with NORMAL a power cut takes back commits that were answered already.
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        POOL_WAIT.as_millis()
    ))
}

/// What every reader is told first.
#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        pragmas(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}
