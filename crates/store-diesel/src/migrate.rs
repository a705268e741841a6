//! The embedded migrations: one tree for each database, the same versions in both.

use diesel::connection::SimpleConnection as _;
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
    /// [`StoreError::Unavailable`] when the database does not answer, [`StoreError::Corrupt`] when a migration fails.
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
                Db::Sqlite(sqlite) => sqlite.connect()?.has_pending_migration(SQLITE),
                Db::Postgres(postgres) => checkout(&postgres.pool)?.has_pending_migration(POSTGRES),
            };
            pending.map(|pending| !pending).map_err(|source| StoreError::Unavailable { source })
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

fn run(db: &Db, revert: bool) -> Result<Vec<String>, StoreError> {
    fn apply<B: diesel::backend::Backend>(
        conn: &mut impl MigrationHarness<B>,
        tree: EmbeddedMigrations,
        revert: bool,
    ) -> diesel::migration::Result<Vec<String>> {
        let versions = if revert { conn.revert_all_migrations(tree)? } else { conn.run_pending_migrations(tree)? };
        Ok(versions.iter().map(ToString::to_string).collect())
    }
    let applied = match db {
        Db::Sqlite(sqlite) => {
            let conn = &mut sqlite.connect()?;
            without_references(conn, |conn| apply(conn, SQLITE, revert))
        }
        Db::Postgres(postgres) => apply(&mut *checkout(&postgres.pool)?, POSTGRES, revert),
    };
    applied.map_err(|error| StoreError::Corrupt { detail: format!("a migration failed: {error}") })
}
