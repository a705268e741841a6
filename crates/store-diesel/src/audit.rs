//! The audit log, and how other ports write their entries.

use async_trait::async_trait;
use diesel::prelude::*;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::store::StoreError;
use patchwright_domain::AuditId;
use serde::Serialize;

use crate::DieselStore;
use crate::db::{TxError, in_read_tx, in_write_tx, statements, store_error};
use crate::row::{micros, parse, timestamp};
use crate::schema::audit;

/// An entry as a row. It is created before the transaction, which may run twice.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = audit)]
pub(crate) struct AuditRow {
    id: String,
    at: i64,
    pub(crate) actor: String,
    action: String,
    pub(crate) subject: String,
    detail: String,
}

impl AuditRow {
    fn into_domain(self) -> Result<AuditEntry, StoreError> {
        Ok(AuditEntry {
            id: parse("audit", &self.id, self.id.parse())?,
            at: timestamp("audit", &self.id, self.at)?,
            actor: self.actor,
            action: self.action,
            subject: self.subject,
            detail: self.detail,
        })
    }
}

impl From<AuditEntry> for AuditRow {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: micros(entry.at),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
        }
    }
}

statements! {
    pub(crate) trait AuditStatements {
        fn insert_audit(conn, row: &AuditRow) -> QueryResult<usize> {
            diesel::insert_into(audit::table).values(row).execute(conn)
        }

        // Writes the entry of an action whose statement has changed so many rows, and returns whether it changed any.
        // Every audited change calls this last in its transaction: if it fails, the change is rolled back.
        fn audited(conn, changed: usize, row: &AuditRow) -> Result<bool, TxError> {
            if changed > 0 {
                conn.insert_audit(row)?;
            }
            Ok(changed > 0)
        }

        fn audit_page(conn, before: Option<AuditId>, limit: u16) -> QueryResult<Vec<AuditRow>> {
            let mut query = audit::table.order(audit::id.desc()).limit(i64::from(limit)).into_boxed();
            if let Some(before) = before {
                query = query.filter(audit::id.lt(before.to_string()));
            }
            query.select(AuditRow::as_select()).load(conn)
        }
    }
}

#[async_trait]
impl Audit for DieselStore {
    async fn record(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let row = AuditRow::from(entry.clone());
        in_write_tx!(self, conn => conn.insert_audit(&row).map(|_| ()).map_err(TxError::from))
    }

    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError> {
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.audit_page(before, limit).map_err(store_error))?;
            rows.into_iter().map(AuditRow::into_domain).collect()
        })
        .await
    }
}
