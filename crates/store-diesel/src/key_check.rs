//! Whether the master key is the one that the database's secrets are encrypted with.

use diesel::prelude::*;
use patchwright_core::store::StoreError;

use crate::Vault;
use crate::db::{in_write_tx, statements};
use crate::schema::{channel, credential, jira_user, jira_workspace, master_key};

/// The id of the only row.
const ROW: i32 = 1;

statements! {
    trait KeyStatements {
        fn recorded_key(conn) -> QueryResult<Option<String>> {
            master_key::table.find(ROW).select(master_key::key_id).first(conn).optional()
        }

        fn sealing_keys(conn) -> QueryResult<Vec<String>> {
            let mut keys: Vec<String> = credential::table.select(credential::key_id).distinct().load(conn)?;
            let channels = channel::table.select(channel::key_id).distinct().load::<Option<String>>(conn)?;
            keys.extend(channels.into_iter().flatten());
            keys.extend(jira_workspace::table.select(jira_workspace::key_id).distinct().load::<String>(conn)?);
            let users = jira_user::table.select(jira_user::key_id).distinct().load::<Option<String>>(conn)?;
            keys.extend(users.into_iter().flatten());
            Ok(keys)
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
    /// Returns whether the keys are those of the database: every sealed secret can be opened with one of them, and one of
    /// them is the key that the database was last used with. Records the current key then. A new database takes any key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn check_key(&self) -> Result<bool, StoreError> {
        let sealer = self.sealer.clone();
        in_write_tx!(self.store, conn => {
            let recorded = conn.recorded_key()?;
            let mut used = conn.sealing_keys()?;
            used.extend(recorded.clone());
            let is_known = used.iter().all(|key_id| sealer.knows(key_id));
            if is_known && recorded.as_deref() != Some(sealer.key_id()) {
                conn.record_key(sealer.key_id())?;
            }
            Ok(is_known)
        })
    }
}
