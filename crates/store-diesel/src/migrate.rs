//! The embedded migrations: one tree for each database, the same versions in both.

use diesel::backend::Backend;
use diesel::connection::SimpleConnection as _;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use patchwright_core::store::StoreError;

use crate::DieselStore;
use crate::db::{Db, checkout};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

impl DieselStore {
    /// Applies all pending migrations and returns their versions.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer, [`StoreError::NewerSchema`] when a newer version of
    /// this program has migrated it, [`StoreError::Corrupt`] when a migration fails.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|db| run(db, false)).await
    }

    /// Reverts all migrations and returns their versions. For tests.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn revert(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|db| run(db, true)).await
    }

    /// Returns whether every embedded migration is applied.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        self.blocking(|db| {
            let pending = match db {
                Db::Sqlite(sqlite) => pending(&mut sqlite.connect()?, || SQLITE),
                Db::Postgres(postgres) => pending(&mut *checkout(&postgres.pool)?, || POSTGRES),
            };
            Ok(!pending?)
        })
        .await
    }
}

/// Runs migrations of SQLite without foreign keys and checks these afterwards: SQLite changes a table by creating another
/// one, and dropping the old one must not delete the rows that refer to it.
fn without_references<T>(
    conn: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> diesel::migration::Result<T>,
) -> diesel::migration::Result<T> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    conn.batch_execute("PRAGMA foreign_keys = OFF")?;
    let done = work(conn)?;
    let lost: Count = diesel::sql_query("SELECT count(*) AS count FROM pragma_foreign_key_check()").get_result(conn)?;
    if lost.count > 0 {
        return Err(format!("{} rows refer to rows that are not there", lost.count).into());
    }
    Ok(done)
}

/// Returns whether migrations are pending.
fn pending<B: Backend>(
    conn: &mut impl MigrationHarness<B>,
    tree: fn() -> EmbeddedMigrations,
) -> Result<bool, StoreError>
where
    EmbeddedMigrations: MigrationSource<B>,
{
    check_version(conn, &tree())?;
    conn.has_pending_migration(tree()).map_err(|source| StoreError::Unavailable { source })
}

/// Refuses a database that a newer version of this program has migrated: it has what this one would not keep.
fn check_version<B: Backend>(conn: &mut impl MigrationHarness<B>, tree: &EmbeddedMigrations) -> Result<(), StoreError>
where
    EmbeddedMigrations: MigrationSource<B>,
{
    let unavailable = |source| StoreError::Unavailable { source };
    let known: Vec<String> = MigrationSource::<B>::migrations(tree)
        .map_err(unavailable)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied: Vec<String> =
        conn.applied_migrations().map_err(unavailable)?.iter().map(ToString::to_string).collect();
    match applied.iter().filter(|version| !known.contains(version)).max() {
        None => Ok(()),
        Some(found) => {
            Err(StoreError::NewerSchema { found: found.clone(), known: known.into_iter().max().unwrap_or_default() })
        }
    }
}

fn run(db: &Db, revert: bool) -> Result<Vec<String>, StoreError> {
    let failed = |error| StoreError::Corrupt { detail: format!("a migration failed: {error}") };
    match db {
        Db::Sqlite(sqlite) => {
            let conn = &mut sqlite.connect()?;
            check_version(conn, &SQLITE)?;
            without_references(conn, |conn| apply(conn, SQLITE, revert)).map_err(failed)
        }
        Db::Postgres(postgres) => {
            let mut conn = checkout(&postgres.pool)?;
            check_version(&mut *conn, &POSTGRES)?;
            apply(&mut *conn, POSTGRES, revert).map_err(failed)
        }
    }
}

fn apply<B: Backend>(
    conn: &mut impl MigrationHarness<B>,
    tree: EmbeddedMigrations,
    revert: bool,
) -> diesel::migration::Result<Vec<String>>
where
    EmbeddedMigrations: MigrationSource<B>,
{
    let versions = if revert { conn.revert_all_migrations(tree)? } else { conn.run_pending_migrations(tree)? };
    Ok(versions.iter().map(ToString::to_string).collect())
}
