//! The port of idempotency keys.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::idempotency::{IdempotencyKeys, IdempotencyState, StoredResponse};
use patchwright_core::store::StoreError;

use crate::DieselStore;
use crate::db::{TxError, in_write_tx, statements};
use crate::row::{micros, unsigned};
use crate::schema::request;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = request)]
struct RequestRow {
    key_hash: String,
    asked: String,
    status: Option<i64>,
    kind: Option<String>,
    body: Option<Vec<u8>>,
    created_at: i64,
}

impl RequestRow {
    fn known(self, asked: &str) -> Result<IdempotencyState, StoreError> {
        if self.asked != asked {
            return Ok(IdempotencyState::Different);
        }
        let (Some(status), Some(kind), Some(body)) = (self.status, self.kind, self.body) else {
            return Ok(IdempotencyState::Pending);
        };
        let status = unsigned("request", &self.key_hash, status)?;
        Ok(IdempotencyState::Answered(StoredResponse { status, kind, body }))
    }
}

statements! {
    trait RequestStatements {
        fn insert_request(conn, row: &RequestRow) -> QueryResult<usize> {
            diesel::insert_into(request::table).values(row).on_conflict_do_nothing().execute(conn)
        }

        fn request_row(conn, key: &str) -> QueryResult<Option<RequestRow>> {
            request::table.find(key).select(RequestRow::as_select()).first(conn).optional()
        }

        fn drop_stale(conn, key: &str, stale: i64) -> QueryResult<usize> {
            let pending = request::status.is_null().and(request::created_at.lt(stale));
            diesel::delete(request::table.filter(request::key_hash.eq(key).and(pending))).execute(conn)
        }
    }
}

#[async_trait]
impl IdempotencyKeys for DieselStore {
    async fn begin_request(
        &self,
        key: &str,
        asked: &str,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<IdempotencyState, StoreError> {
        let row = RequestRow {
            key_hash: key.to_owned(),
            asked: asked.to_owned(),
            status: None,
            kind: None,
            body: None,
            created_at: micros(now),
        };
        let stale = micros(stale);
        let known = in_write_tx!(self, conn => {
            conn.drop_stale(&row.key_hash, stale)?;
            if conn.insert_request(&row)? > 0 {
                return Ok(None);
            }
            Ok(conn.request_row(&row.key_hash)?)
        })?;
        known.map_or(Ok(IdempotencyState::New), |row| row.known(asked))
    }

    async fn end_request(&self, key: &str, answer: Option<StoredResponse>) -> Result<(), StoreError> {
        let key = key.to_owned();
        in_write_tx!(self, conn => {
            let row = request::table.find(&key);
            let done = match &answer {
                Some(answer) => {
                    let stored = (
                        request::status.eq(i64::from(answer.status)),
                        request::kind.eq(&answer.kind),
                        request::body.eq(&answer.body),
                    );
                    diesel::update(row).set(stored).execute(conn)
                }
                None => diesel::delete(row).execute(conn),
            };
            done.map(|_| ()).map_err(TxError::from)
        })
    }

    async fn forget_requests(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = micros(before);
        let gone = in_write_tx!(self, conn => {
            diesel::delete(request::table.filter(request::created_at.lt(before))).execute(conn).map_err(TxError::from)
        })?;
        Ok(gone as u64)
    }
}
