//! The ports of added repositories and of the audit.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::repositories::{RegisteredRepository, Repositories};
use patchwright_core::store::StoreError;
use patchwright_domain::{AuditId, PlatformId, RepositoryId};

use crate::DieselStore;
use crate::db::{TxError, read, statements, store_error, write};
use crate::row::{micros, parse, timestamp};
use crate::schema::{audit, repository};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = repository)]
struct RepositoryRow {
    id: String,
    platform: String,
    name: String,
    created_at: i64,
    synced_at: Option<i64>,
}

impl RepositoryRow {
    fn into_domain(self) -> Result<RegisteredRepository, StoreError> {
        const T: &str = "repository";
        let id = self.id.as_str();
        Ok(RegisteredRepository {
            id: parse(T, id, self.id.parse())?,
            name: parse(T, id, self.name.parse())?,
            created_at: timestamp(T, id, self.created_at)?,
            synced_at: self.synced_at.map(|at| timestamp(T, id, at)).transpose()?,
            platform: PlatformId::new(self.platform),
        })
    }
}

#[async_trait]
impl Repositories for DieselStore {
    async fn add_repository(&self, new: &RegisteredRepository) -> Result<bool, StoreError> {
        let row = RepositoryRow {
            id: new.id.to_string(),
            platform: new.platform.as_str().to_owned(),
            name: new.name.to_string(),
            created_at: micros(new.created_at),
            synced_at: new.synced_at.map(micros),
        };
        let added = write!(self, conn => {
            let insert = diesel::insert_into(repository::table).values(&row).on_conflict_do_nothing();
            insert.execute(conn).map_err(TxError::from)
        })?;
        Ok(added > 0)
    }

    async fn repositories(&self) -> Result<Vec<RegisteredRepository>, StoreError> {
        self.blocking(|db| {
            let query = repository::table.order((repository::name, repository::platform));
            let rows: Vec<RepositoryRow> =
                read!(db, conn => query.select(RepositoryRow::as_select()).load(conn).map_err(store_error))?;
            rows.into_iter().map(RepositoryRow::into_domain).collect()
        })
        .await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<RegisteredRepository>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = read!(db, conn => conn.repository_row(&id).map_err(store_error))?;
            row.map(RepositoryRow::into_domain).transpose()
        })
        .await
    }

    async fn note_synced(&self, id: RepositoryId, at: Timestamp) -> Result<(), StoreError> {
        let (id, at) = (id.to_string(), micros(at));
        write!(self, conn => {
            let update = diesel::update(repository::table.find(&id)).set(repository::synced_at.eq(at));
            update.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn remove_repository(&self, id: RepositoryId) -> Result<bool, StoreError> {
        let id = id.to_string();
        let removed = write!(self, conn => {
            diesel::delete(repository::table.find(&id)).execute(conn).map_err(TxError::from)
        })?;
        Ok(removed > 0)
    }
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit)]
struct AuditRow {
    id: String,
    at: i64,
    actor: String,
    action: String,
    subject: String,
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

statements! {
    trait ManagementStatements {
        fn repository_row(conn, id: &str) -> QueryResult<Option<RepositoryRow>> {
            repository::table.find(id).select(RepositoryRow::as_select()).first(conn).optional()
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
    async fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let row = AuditRow {
            id: entry.id.to_string(),
            at: micros(entry.at),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            detail: entry.detail.clone(),
        };
        write!(self, conn => {
            diesel::insert_into(audit::table).values(&row).execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError> {
        self.blocking(move |db| {
            let rows = read!(db, conn => conn.audit_page(before, limit).map_err(store_error))?;
            rows.into_iter().map(AuditRow::into_domain).collect()
        })
        .await
    }
}
