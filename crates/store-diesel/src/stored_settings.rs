//! The port of stored settings.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::store::StoreError;
use patchwright_core::stored_settings::{SettingChange, StoredSetting, StoredSettings};

use crate::audit::{AuditRow, AuditStatements as _};
use crate::credentials::Vault;
use crate::db::{in_read_tx, in_write_tx, statements, store_error};
use crate::row::{micros, timestamp};
use crate::schema::setting;
use crate::seal::{Sealed, Sealer};

const T: &str = "setting";

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = setting)]
struct SettingRow {
    name: String,
    key_id: String,
    sealed: Vec<u8>,
    changed_by: String,
    changed_at: i64,
}

impl SettingRow {
    fn place(name: &str) -> String {
        format!("setting/sealed/{name}")
    }

    fn seal(&mut self, sealer: &Sealer, value: &Secret) {
        let Sealed { key_id, bytes } = sealer.seal(value, &Self::place(&self.name));
        (self.key_id, self.sealed) = (key_id, bytes);
    }

    fn open(&self, sealer: &Sealer) -> Result<Secret, StoreError> {
        let stored = Sealed { key_id: self.key_id.clone(), bytes: self.sealed.clone() };
        sealer.open(&stored, &Self::place(&self.name))
    }

    fn into_stored(self, sealer: &Sealer) -> Result<StoredSetting, StoreError> {
        Ok(StoredSetting {
            value: self.open(sealer)?,
            changed_at: timestamp(T, &self.name, self.changed_at)?,
            name: self.name,
            changed_by: self.changed_by,
        })
    }
}

/// A row to write, or the name of one to remove, with the entry of the audit log.
enum Statement {
    Write(SettingRow, AuditRow),
    Remove(String, AuditRow),
}

statements! {
    trait SettingStatements {
        fn setting_rows(conn) -> QueryResult<Vec<SettingRow>> {
            setting::table.order(setting::name).select(SettingRow::as_select()).load(conn)
        }

        fn write_setting(conn, row: &SettingRow) -> QueryResult<usize> {
            diesel::insert_into(setting::table)
                .values(row)
                .on_conflict(setting::name)
                .do_update()
                .set(row)
                .execute(conn)
        }
    }
}

impl Vault {
    /// Encrypts with the current key the settings that another key encrypted.
    pub(crate) async fn reseal_settings(&self) -> Result<u64, StoreError> {
        let sealer = self.sealer.clone();
        in_write_tx!(self.store, conn => {
            let mut count = 0;
            for mut row in conn.setting_rows()?.into_iter().filter(|row| row.key_id != sealer.key_id()) {
                let value = row.open(&sealer)?;
                row.seal(&sealer, &value);
                conn.write_setting(&row)?;
                count += 1;
            }
            Ok(count)
        })
    }

    fn statement(&self, change: SettingChange, changed_by: &str, now: Timestamp) -> Statement {
        let audit = AuditRow::from(change.audit);
        let Some(value) = change.value else { return Statement::Remove(change.name, audit) };
        let mut row = SettingRow {
            name: change.name,
            key_id: String::new(),
            sealed: Vec::new(),
            changed_by: changed_by.to_owned(),
            changed_at: micros(now),
        };
        row.seal(&self.sealer, &value);
        Statement::Write(row, audit)
    }
}

#[async_trait]
impl StoredSettings for Vault {
    async fn stored_settings(&self) -> Result<Vec<StoredSetting>, StoreError> {
        let sealer = self.sealer.clone();
        self.store
            .blocking(move |db| {
                let rows = in_read_tx!(db, conn => conn.setting_rows().map_err(store_error))?;
                rows.into_iter().map(|row| row.into_stored(&sealer)).collect()
            })
            .await
    }

    async fn change_settings(
        &self,
        changes: Vec<SettingChange>,
        changed_by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let changes = changes.into_iter().map(|change| self.statement(change, changed_by, now));
        let statements: Vec<Statement> = changes.collect();
        in_write_tx!(self.store, conn => {
            for statement in &statements {
                let (count, audit) = match statement {
                    Statement::Write(row, audit) => (conn.write_setting(row)?, audit),
                    Statement::Remove(name, audit) => {
                        (diesel::delete(setting::table.find(name)).execute(conn)?, audit)
                    }
                };
                conn.audited(count, audit)?;
            }
            Ok(())
        })
    }
}
