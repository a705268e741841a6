//! Online backups of an SQLite database, and restoring one.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness as _;

use crate::DieselStore;
use crate::db::{Db, checkout};
use crate::migrate::SQLITE;

/// The error of a backup or a restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is PostgreSQL, which has its own backup tools.
    #[error("this database is PostgreSQL's: use `pg_dump --format=custom --file=FILE ADDRESS` and `pg_restore`")]
    Postgres,
    /// The file exists.
    #[error("{path} is there already; choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a backup of this program, is from a newer version, or is damaged.
    #[error("{path} cannot be restored: {detail}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A server is using the database.
    #[error("{path} is in use; stop the server first")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The database reported an error.
    #[error("the copy failed: {detail}")]
    Failed {
        /// Its message.
        detail: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

#[derive(QueryableByName)]
struct Mode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

impl DieselStore {
    /// Writes a consistent copy of the database to a new file, while it stays in use.
    ///
    /// # Errors
    /// [`BackupError::Postgres`], [`BackupError::Exists`], [`BackupError::Failed`] (a full disk, for example).
    pub async fn backup(&self, file: &Path) -> Result<(), BackupError> {
        let Db::Sqlite(sqlite) = &self.db else { return Err(BackupError::Postgres) };
        if file.exists() {
            return Err(BackupError::Exists { path: file.to_owned() });
        }
        // SQLite writes into an empty file; created here, it is for its owner alone from the beginning.
        let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        created.map_err(|source| BackupError::File { path: file.to_owned(), source })?;
        let (readers, path) = (sqlite.readers.clone(), file.display().to_string());
        let copy = move || {
            let mut conn = checkout(&readers).map_err(|error| error.to_string())?;
            // Copies one snapshot without free pages. In WAL mode the writer does not wait for it.
            diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(path).execute(&mut *conn).map_err(|e| e.to_string())
        };
        let copied = tokio::task::spawn_blocking(copy).await.map_err(|error| error.to_string());
        match copied.and_then(|copied| copied) {
            Ok(_) => Ok(()),
            Err(detail) => {
                // What is there is no backup, and must not be taken for one.
                if let Err(error) = std::fs::remove_file(file) {
                    tracing::warn!(file = %file.display(), %error, "failed to remove an incomplete backup");
                }
                Err(BackupError::Failed { detail })
            }
        }
    }

    /// Replaces the database at `url`, which no server may have open, by a backup. The old database is kept beside it with
    /// the suffix `.before-restore`, and its path is returned.
    ///
    /// # Errors
    /// [`BackupError::Unusable`] when the file is damaged, [`BackupError::InUse`] while a server runs.
    pub async fn restore(url: &str, file: &Path) -> Result<Option<PathBuf>, BackupError> {
        let Some(path) = url.strip_prefix("sqlite://").map(PathBuf::from) else { return Err(BackupError::Postgres) };
        let file = file.to_owned();
        let restore = move || {
            check(&file)?;
            let old = set_aside(&path)?;
            let failed = |source| BackupError::File { path: path.clone(), source };
            let fresh = beside(&path, ".restoring");
            std::fs::copy(&file, &fresh).map_err(failed)?;
            std::fs::File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed)?;
            std::fs::rename(&fresh, &path).map_err(failed)?;
            Ok(old)
        };
        let done = tokio::task::spawn_blocking(restore).await;
        done.map_err(|error| BackupError::Failed { detail: error.to_string() })?
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Checks that a backup is an undamaged database of a known version.
fn check(file: &Path) -> Result<(), BackupError> {
    let unusable = |detail: String| BackupError::Unusable { path: file.to_owned(), detail };
    if !file.is_file() {
        return Err(unusable("there is no such file".to_owned()));
    }
    // Read only: the check must not change the backup.
    let url = format!("file:{}?mode=ro&immutable=1", file.display());
    let mut conn = SqliteConnection::establish(&url).map_err(|error| unusable(error.to_string()))?;
    let sound = diesel::sql_query("SELECT integrity_check AS answer FROM pragma_integrity_check")
        .load::<Answer>(&mut conn)
        .map_err(|error| unusable(error.to_string()))?;
    if sound.first().is_none_or(|row| row.answer != "ok") {
        return Err(unusable("it is damaged".to_owned()));
    }
    let applied = conn.applied_migrations().map_err(|_| unusable("it is no database of Patchwright".to_owned()))?;
    let known = diesel::migration::MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE)
        .map_err(|error| unusable(error.to_string()))?;
    let newer = applied.iter().find(|version| !known.iter().any(|one| one.name().version() == **version));
    match newer {
        Some(version) => Err(unusable(format!("it is of a newer version of Patchwright (schema {version})"))),
        None if applied.is_empty() => Err(unusable("it is no database of Patchwright".to_owned())),
        None => Ok(()),
    }
}

/// Renames the current database, if there is one and no process has it open.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, BackupError> {
    if !path.exists() {
        return Ok(None);
    }
    let in_use = || BackupError::InUse { path: path.to_owned() };
    let mut conn = SqliteConnection::establish(&path.display().to_string()).map_err(|_| in_use())?;
    // Leaving WAL mode merges everything into the one file, and SQLite refuses it while others have the file open.
    let mode = diesel::sql_query("PRAGMA journal_mode = DELETE").load::<Mode>(&mut conn).map_err(|_| in_use())?;
    if mode.first().is_none_or(|row| row.journal_mode != "delete") {
        return Err(in_use());
    }
    drop(conn);
    let old = beside(path, ".before-restore");
    std::fs::rename(path, &old).map_err(|source| BackupError::File { path: path.to_owned(), source })?;
    Ok(Some(old))
}
