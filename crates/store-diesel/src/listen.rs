//! News from other processes: PostgreSQL tells who listens when something was written that may be work.

use std::time::Duration;

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::StreamExt as _;

use crate::DieselStore;
use crate::db::Db;

/// The wait before a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(2);

impl DieselStore {
    /// Calls `news` whenever any process may have written work to this database, and once after each new connection,
    /// because something may have been missed before it. Ends with the future; on SQLite, which one process writes, it
    /// never has anything to tell. Nothing depends on it: who polls finds everything too, only later.
    pub async fn listen(&self, news: impl Fn()) {
        let Db::Postgres(postgres) = &self.db else { return std::future::pending().await };
        loop {
            if let Err(error) = listen_once(&postgres.url, &news).await {
                tracing::warn!(%error, "the connection for news is lost; work is found by polling until it is back");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn listen_once(url: &str, news: &impl Fn()) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    conn.batch_execute("LISTEN patchwright").await?;
    news();
    let mut notices = std::pin::pin!(conn.notifications_stream());
    while let Some(notice) = notices.next().await {
        notice?;
        news();
    }
    Err("the server ended it".into())
}
