//! The port of the database itself.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::database::Database;
use patchwright_core::store::StoreError;

use crate::DieselStore;

#[async_trait]
impl Database for DieselStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Self::now(self).await
    }

    async fn is_migrated(&self) -> Result<bool, StoreError> {
        Self::is_migrated(self).await
    }

    async fn listen(&self, wake: &(dyn Fn() + Send + Sync)) {
        Self::listen(self, wake).await;
    }
}
