//! The port of added repositories.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::audit::AuditEntry;
use patchwright_core::repositories::{RegisteredRepository, Repositories};
use patchwright_core::store::StoreError;
use patchwright_domain::{PlatformId, RepositoryId};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{in_read_tx, in_write_tx, statements, store_error};
use crate::row::{micros, parse, timestamp};
use crate::schema::repository;

const T: &str = "repository";

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
    fn new(repository: &RegisteredRepository) -> Self {
        Self {
            id: repository.id.to_string(),
            platform: repository.platform.as_str().to_owned(),
            name: repository.name.to_string(),
            created_at: micros(repository.created_at),
            synced_at: repository.synced_at.map(micros),
        }
    }

    fn into_domain(self) -> Result<RegisteredRepository, StoreError> {
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

statements! {
    trait RepositoryStatements {
        fn repository_row(conn, id: &str) -> QueryResult<Option<RepositoryRow>> {
            repository::table.find(id).select(RepositoryRow::as_select()).first(conn).optional()
        }

        fn repository_rows(conn) -> QueryResult<Vec<RepositoryRow>> {
            let all = repository::table.order((repository::name, repository::platform));
            all.select(RepositoryRow::as_select()).load(conn)
        }
    }
}

#[async_trait]
impl Repositories for DieselStore {
    async fn add_repository(&self, new: &RegisteredRepository, audit: AuditEntry) -> Result<bool, StoreError> {
        let (row, audit) = (RepositoryRow::new(new), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let insert = diesel::insert_into(repository::table).values(&row).on_conflict_do_nothing();
            let added = insert.execute(conn)?;
            conn.audited(added, &audit)
        })
    }

    async fn repositories(&self) -> Result<Vec<RegisteredRepository>, StoreError> {
        self.blocking(|db| {
            let rows = in_read_tx!(db, conn => conn.repository_rows().map_err(store_error))?;
            rows.into_iter().map(RepositoryRow::into_domain).collect()
        })
        .await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<RegisteredRepository>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.repository_row(&id).map_err(store_error))?;
            row.map(RepositoryRow::into_domain).transpose()
        })
        .await
    }

    async fn record_sync(&self, id: RepositoryId, at: Timestamp, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, at, audit) = (id.to_string(), micros(at), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let update = diesel::update(repository::table.find(&id)).set(repository::synced_at.eq(at));
            let changed = update.execute(conn)?;
            conn.audited(changed, &audit)
        })
    }

    async fn remove_repository(&self, id: RepositoryId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let removed = diesel::delete(repository::table.find(&id)).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }
}
