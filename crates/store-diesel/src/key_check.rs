//! Whether the master key is the one that the database's secrets are encrypted with.

use diesel::prelude::*;
use patchwright_core::store::StoreError;

use crate::Vault;
use crate::db::{in_write_tx, statements};
use crate::schema::master_key;

/// The id of the only row.
const ROW: i32 = 1;

statements! {
    trait KeyStatements {
        fn recorded_key(conn) -> QueryResult<Option<String>> {
            master_key::table.find(ROW).select(master_key::key_id).first(conn).optional()
        }

        fn record_key(conn, key_id: &str) -> QueryResult<usize> {
            diesel::insert_into(master_key::table)
                .values((master_key::id.eq(ROW), master_key::key_id.eq(key_id)))
                .on_conflict(master_key::id)
                .do_update()
                .set(master_key::key_id.eq(key_id))
                .execute(conn)
        }
    }
}

impl Vault {
    /// Returns whether the key, or one of the old ones, is the one that the database was last used with, and records the
    /// current key then. A new database takes any key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn check_key(&self) -> Result<bool, StoreError> {
        let sealer = self.sealer.clone();
        in_write_tx!(self.store, conn => {
            let recorded = conn.recorded_key()?;
            let is_known = recorded.as_ref().is_none_or(|recorded| sealer.knows(recorded));
            if is_known && recorded.as_deref() != Some(sealer.key_id()) {
                conn.record_key(sealer.key_id())?;
            }
            Ok(is_known)
        })
    }
}
