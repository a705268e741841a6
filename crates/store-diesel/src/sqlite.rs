//! SQLite: one writer thread, which commits all waiting writes at once, and a pool of readers.

use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::result::Error as DieselError;
use patchwright_core::store::StoreError;
use tokio::sync::oneshot;

use crate::db::{CONNECTION_TIMEOUT, OpenError, TxError, open_pool};
use crate::queue::{GroupCommit, Queue};

/// The most connections that read at the same time. In WAL mode they do not wait for the writer.
const MAX_READERS: u32 = 4;

/// The work of one caller in the common transaction. When it is dropped without a reply, the caller's write has failed.
trait WriteRequest: Send {
    /// Runs the work in the transaction; `false` when it failed and the transaction must be rolled back.
    fn run(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Runs the work in a savepoint, so that its failure rolls back nothing else; `false` when the transaction cannot
    /// continue.
    fn run_in_savepoint(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Sends the result to the caller.
    fn reply(self: Box<Self>);
}

/// The result, and the work itself: its memory is freed on the thread that allocated it. Rows of one thread that are
/// dropped on another make both wait for the allocator.
type Reply<T, F> = (Result<T, StoreError>, F);

struct Pending<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Reply<T, F>>,
}

impl<T, F> WriteRequest for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send,
{
    fn run(&mut self, conn: &mut SqliteConnection) -> bool {
        let result = (self.work)(conn).map_err(StoreError::from);
        self.result.insert(result).is_ok()
    }

    fn run_in_savepoint(&mut self, conn: &mut SqliteConnection) -> bool {
        // Inside the writer's transaction this one is a savepoint.
        let result = conn.transaction(&mut self.work).map_err(StoreError::from);
        // After an error of the database itself SQLite may have ended the whole transaction already.
        !matches!(self.result.insert(result), Err(StoreError::Unavailable { .. }))
    }

    fn reply(self: Box<Self>) {
        if let Some(result) = self.result {
            drop(self.reply.send((result, self.work)));
        }
    }
}

/// Creates the file if it is absent, for its owner alone; SQLite gives its journals the same rights. Of a file that others
/// may read, their rights are removed.
fn create_private(path: &str) -> Result<(), OpenError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    if path.starts_with(':') || path.starts_with("file:") || path.is_empty() {
        return Ok(());
    }
    let failed = |source| OpenError::Folder { path: PathBuf::from(path), source };
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    let mut rights = file.metadata().map_err(failed)?.permissions();
    if rights.mode() & 0o077 != 0 {
        rights.set_mode(rights.mode() & !0o077);
        if let Err(error) = file.set_permissions(rights) {
            tracing::warn!(path, %error, "other users may read the database, and their rights cannot be removed");
        }
    }
    Ok(())
}

/// A database in a file.
#[derive(Clone)]
pub(crate) struct Sqlite {
    path: String,
    pub(crate) readers: Pool<ConnectionManager<SqliteConnection>>,
    writer: Queue<Box<dyn WriteRequest>>,
}

impl Sqlite {
    pub(crate) fn open(path: &str, group: GroupCommit) -> Result<Self, OpenError> {
        if let Some(folder) = PathBuf::from(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        create_private(path)?;
        // The writer is first: it creates the file and switches it to WAL before a reader opens it.
        let failed = |error: ConnectionError| OpenError::Connect { detail: error.to_string() };
        let mut writer = Writer { path: path.to_owned(), conn: Some(connect(path).map_err(failed)?) };
        let writer = Queue::start("sqlite-writer", group, move |batch| writer.write(batch))
            .map_err(|error| OpenError::Connect { detail: error.to_string() })?;
        let readers = Pool::builder().test_on_check_out(false).connection_customizer(Box::new(Pragmas));
        let readers = open_pool(readers, MAX_READERS, ConnectionManager::new(path))?;
        Ok(Self { path: path.to_owned(), readers, writer })
    }

    /// Opens another connection, for migrations.
    pub(crate) fn connect(&self) -> Result<SqliteConnection, StoreError> {
        connect(&self.path).map_err(|error| StoreError::Unavailable { source: Box::new(error) })
    }

    /// Runs a closure in the writer's next transaction and returns when that is safe on disk. An error rolls back what the
    /// closure wrote, and nothing else. The closure may run twice; then the first run is rolled back.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.writer.push(Box::new(Pending { work, result: None, reply }))?;
        result_of(receiver.await)
    }

    /// Runs a closure like [`Self::write`] and blocks the calling thread.
    pub(crate) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.writer.push(Box::new(Pending { work, result: None, reply }))?;
        result_of(receiver.blocking_recv())
    }
}

fn result_of<T, F>(reply: Result<Reply<T, F>, oneshot::error::RecvError>) -> Result<T, StoreError> {
    match reply {
        Ok((result, _)) => result,
        Err(_) => Err(StoreError::Unavailable { source: "the commit failed; see the log".into() }),
    }
}

struct Writer {
    path: String,
    conn: Option<SqliteConnection>,
}

impl Writer {
    fn write(&mut self, batch: Vec<Box<dyn WriteRequest>>) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.commit(batch)));
        let error = match caught {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => "a write panicked".to_owned(),
        };
        tracing::error!(%error, "a batch of writes failed and was rolled back");
        // The connection may be in the middle of a transaction; a new one is not.
        self.conn = None;
    }

    /// Commits the batch and replies to its callers. Nearly always nothing is refused, so all is written without
    /// savepoints first; those, for which SQLite copies pages, are used only once something was refused.
    fn commit(&mut self, mut batch: Vec<Box<dyn WriteRequest>>) -> Result<(), String> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(connect(&self.path).map_err(|error| error.to_string())?),
        };
        match transaction(conn, &mut batch, |request, conn| request.run(conn)) {
            Err(DieselError::RollbackTransaction) if batch.len() > 1 => {
                transaction(conn, &mut batch, |request, conn| request.run_in_savepoint(conn))
                    .map_err(|error| error.to_string())?;
            }
            // The only request was refused, and rolled back with the transaction.
            Err(DieselError::RollbackTransaction) => {}
            other => other.map_err(|error| error.to_string())?,
        }
        batch.into_iter().for_each(WriteRequest::reply);
        Ok(())
    }
}

fn transaction(
    conn: &mut SqliteConnection,
    batch: &mut [Box<dyn WriteRequest>],
    mut run: impl FnMut(&mut dyn WriteRequest, &mut SqliteConnection) -> bool,
) -> QueryResult<()> {
    conn.immediate_transaction(|conn| {
        let all = batch.iter_mut().all(|request| run(request.as_mut(), conn));
        if all { Ok(()) } else { Err(DieselError::RollbackTransaction) }
    })
}

fn connect(path: &str) -> Result<SqliteConnection, ConnectionError> {
    let mut conn = SqliteConnection::establish(path)?;
    pragmas(&mut conn).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

fn pragmas(conn: &mut SqliteConnection) -> QueryResult<()> {
    // FULL and not NORMAL: with NORMAL a power cut rolls back commits that were acknowledged.
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        CONNECTION_TIMEOUT.as_millis()
    ))
}

/// Configures every new reader.
#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        pragmas(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}
