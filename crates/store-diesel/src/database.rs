//! The port of the database itself.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::database::Database;
use patchwright_core::store::StoreError;

use crate::DieselStore;
use crate::db::{TxError, in_write_tx, statements};
use crate::row::micros;
use crate::schema::readiness;

statements! {
    trait ReadinessStatements {
        fn write_readiness(conn, now: i64) -> QueryResult<usize> {
            diesel::insert_into(readiness::table)
                .values((readiness::id.eq(1), readiness::checked_at.eq(now)))
                .on_conflict(readiness::id)
                .do_update()
                .set(readiness::checked_at.eq(now))
                .execute(conn)
        }
    }
}

#[async_trait]
impl Database for DieselStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Self::now(self).await
    }

    async fn is_migrated(&self) -> Result<bool, StoreError> {
        Self::is_migrated(self).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        let now = micros(Timestamp::now());
        in_write_tx!(self, conn => conn.write_readiness(now).map(|_| ()).map_err(TxError::from))
    }

    async fn listen(&self, wake: &(dyn Fn() + Send + Sync)) {
        Self::listen(self, wake).await;
    }
}
