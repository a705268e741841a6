//! SQLite: one writer thread, which commits everything that waits at once, and a few readers beside it.

use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::result::Error as DieselError;
use patchwright_core::store::StoreError;
use tokio::sync::oneshot;

use crate::db::{OpenError, POOL_WAIT, TxError, open_pool};
use crate::queue::{GroupCommit, Queue};

/// Readers beside the one writer; WAL lets them go on while it writes.
const READERS: u32 = 4;

/// One caller's work inside the common transaction. Dropped untold, it tells the caller that nothing was written.
trait Order: Send {
    /// Does the work straight in the transaction; `false` when it failed, and the transaction must be taken back.
    fn run(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Does the work such that its failure takes back nothing else; `false` when the transaction cannot go on.
    fn run_apart(&mut self, conn: &mut SqliteConnection) -> bool;

    /// Tells the caller how it ended.
    fn tell(self: Box<Self>);
}

struct Pending<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    /// The work goes back with its result, so that its memory is given free on the thread that took it: rows of one
    /// thread that are dropped on another make both wait for the allocator.
    tell: oneshot::Sender<(Result<T, StoreError>, F)>,
}

impl<T, F> Order for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send,
{
    fn run(&mut self, conn: &mut SqliteConnection) -> bool {
        let result = (self.work)(conn).map_err(StoreError::from);
        self.result.insert(result).is_ok()
    }

    fn run_apart(&mut self, conn: &mut SqliteConnection) -> bool {
        // Inside the writer's transaction this one is a savepoint.
        let result = conn.transaction(&mut self.work).map_err(StoreError::from);
        // After an error of the database itself SQLite may have ended the whole transaction already.
        !matches!(self.result.insert(result), Err(StoreError::Unavailable { .. }))
    }

    fn tell(self: Box<Self>) {
        if let Some(result) = self.result {
            drop(self.tell.send((result, self.work)));
        }
    }
}

/// The database in a file.
#[derive(Clone)]
pub(crate) struct Sqlite {
    path: String,
    pub(crate) readers: Pool<ConnectionManager<SqliteConnection>>,
    writer: Queue<Box<dyn Order>>,
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
    /// the closure wrote, and nothing else. It may be run twice, the first time in vain.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        self.writer.push(Box::new(Pending { work, result: None, tell }))?;
        result_of(told.await)
    }

    /// The same for callers with a thread of their own, which waits.
    pub(crate) fn write_now<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqliteConnection) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        self.writer.push(Box::new(Pending { work, result: None, tell }))?;
        result_of(told.blocking_recv())
    }
}

fn result_of<T, F>(told: Result<(Result<T, StoreError>, F), oneshot::error::RecvError>) -> Result<T, StoreError> {
    match told {
        Ok((result, _)) => result,
        Err(_) => Err(StoreError::Unavailable { source: "the commit failed; see the log".into() }),
    }
}

struct Writer {
    path: String,
    conn: Option<SqliteConnection>,
}

impl Writer {
    fn write(&mut self, batch: Vec<Box<dyn Order>>) {
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

    /// Commits the batch and tells its callers. Nearly always nothing is refused, so that all is written straight first;
    /// savepoints, for which SQLite copies pages aside, are only made once something was refused.
    fn commit(&mut self, mut batch: Vec<Box<dyn Order>>) -> Result<(), String> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(connect(&self.path).map_err(|error| error.to_string())?),
        };
        match transaction(conn, &mut batch, |order, conn| order.run(conn)) {
            Err(DieselError::RollbackTransaction) if batch.len() > 1 => {
                transaction(conn, &mut batch, |order, conn| order.run_apart(conn))
                    .map_err(|error| error.to_string())?;
            }
            // The only one was refused, and was taken back with the transaction.
            Err(DieselError::RollbackTransaction) => {}
            other => other.map_err(|error| error.to_string())?,
        }
        batch.into_iter().for_each(Order::tell);
        Ok(())
    }
}

fn transaction(
    conn: &mut SqliteConnection,
    batch: &mut [Box<dyn Order>],
    mut run: impl FnMut(&mut dyn Order, &mut SqliteConnection) -> bool,
) -> QueryResult<()> {
    conn.immediate_transaction(|conn| {
        let all = batch.iter_mut().all(|order| run(order.as_mut(), conn));
        if all { Ok(()) } else { Err(DieselError::RollbackTransaction) }
    })
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
