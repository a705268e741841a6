//! SQL beside the store: triggers that observe or refuse its writes, and the rows behind its ports.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use patchwright_store_diesel::DieselStore;

/// The address of a database.
pub(crate) struct Sql(String);

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Sql {
    pub(crate) fn new(url: String) -> Self {
        Self(url)
    }

    pub(crate) async fn open(&self) -> DieselStore {
        let store = DieselStore::open(&self.0).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    fn sqlite(&self) -> Option<SqliteConnection> {
        let path = self.0.strip_prefix("sqlite://")?;
        let mut conn = SqliteConnection::establish(path).unwrap();
        diesel::connection::SimpleConnection::batch_execute(&mut conn, "PRAGMA busy_timeout = 5000").unwrap();
        Some(conn)
    }

    async fn postgres(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.0).await.unwrap()
    }

    /// Runs statements: the first on SQLite, the second on PostgreSQL.
    pub(crate) async fn run(&self, sqlite: &str, postgres: &str) {
        match self.sqlite() {
            Some(mut conn) => diesel::connection::SimpleConnection::batch_execute(&mut conn, sqlite).unwrap(),
            None => self.postgres().await.batch_execute(postgres).await.unwrap(),
        }
    }

    /// Returns the column `number` of a query with one row.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let query = diesel::sql_query(query);
        let row: Number = if let Some(mut conn) = self.sqlite() {
            query.get_result(&mut conn).unwrap()
        } else {
            diesel_async::RunQueryDsl::get_result(query, &mut self.postgres().await).await.unwrap()
        };
        row.number
    }

    /// Returns the column `line` of a query.
    pub(crate) async fn lines(&self, query: &str) -> Vec<String> {
        let query = diesel::sql_query(query);
        let rows: Vec<Line> = if let Some(mut conn) = self.sqlite() {
            query.load(&mut conn).unwrap()
        } else {
            diesel_async::RunQueryDsl::load(query, &mut self.postgres().await).await.unwrap()
        };
        rows.into_iter().map(|row| row.line).collect()
    }
}
