//! Notifications from other processes: PostgreSQL sends one when something was written that may be work.

use std::time::Duration;

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::StreamExt as _;

use crate::DieselStore;
use crate::db::Db;

/// The wait before a lost connection is opened again.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

impl DieselStore {
    /// Calls `wake` whenever any process may have written work to this database, and once after each new connection,
    /// because notifications may have been missed before it. Never returns; on SQLite, which one process writes, it never
    /// calls `wake`. Nothing depends on it: a process that polls finds the same work, only later.
    pub async fn listen(&self, wake: impl Fn()) {
        let Db::Postgres(postgres) = &self.db else { return std::future::pending().await };
        loop {
            if let Err(error) = listen_once(&postgres.url, &wake).await {
                tracing::warn!(%error, "lost connection for notifications; polling until it is back");
            }
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }
}

async fn listen_once(url: &str, wake: &impl Fn()) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    conn.batch_execute("LISTEN patchwright").await?;
    wake();
    let mut notices = std::pin::pin!(conn.notifications_stream());
    while let Some(notice) = notices.next().await {
        notice?;
        wake();
    }
    Err("the server closed the connection".into())
}
