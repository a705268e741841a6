//! The embedded migrations: one tree for each database, the same versions in both.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use patchwright_core::store::StoreError;

use crate::DieselStore;
use crate::db::{Db, checkout};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

impl DieselStore {
    /// Applies what is not applied yet, and says the versions that it applied.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer, [`StoreError::Broken`] when a migration fails.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|db| run(db, false)).await
    }

    /// Takes all migrations back. For tests.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn revert(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|db| run(db, true)).await
    }

    /// Whether every embedded migration is applied.
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
        Db::Sqlite(sqlite) => apply(&mut sqlite.connect()?, SQLITE, revert),
        Db::Postgres(postgres) => apply(&mut *checkout(&postgres.pool)?, POSTGRES, revert),
    };
    applied.map_err(|error| StoreError::Broken { detail: format!("a migration failed: {error}") })
}
