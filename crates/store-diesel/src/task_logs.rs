//! The port of task logs.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::store::StoreError;
use patchwright_core::task_log::{LogPart, MAX_LOG, TaskLogs};
use patchwright_domain::TaskId;

use crate::DieselStore;
use crate::db::{TxError, corrupt_row, in_snapshot, in_write_tx, statements};
use crate::row::packed::{pack, unpack};
use crate::row::{micros, signed, unsigned};
use crate::schema::task_log;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = task_log)]
struct ChunkRow {
    task_id: String,
    piece: i64,
    start: i64,
    length: i64,
    at: i64,
    text: Vec<u8>,
}

/// The end of a log that reached its limit.
const TRUNCATED: &str = "\n[the log is full; further output is not stored]\n";

statements! {
    trait LogStatements {
        fn log_end(conn, task: &str) -> QueryResult<i64> {
            let last = task_log::table.filter(task_log::task_id.eq(task)).order(task_log::piece.desc());
            let end = last.select(task_log::start + task_log::length).first(conn).optional()?;
            Ok(end.unwrap_or(0))
        }

        fn chunks(conn, task: &str, from: i64, until: i64) -> QueryResult<Vec<ChunkRow>> {
            task_log::table
                .filter(task_log::task_id.eq(task))
                .filter((task_log::start + task_log::length).gt(from).and(task_log::start.lt(until)))
                .order(task_log::piece)
                .select(ChunkRow::as_select())
                .load(conn)
        }
    }
}

#[async_trait]
impl TaskLogs for DieselStore {
    async fn append_log(&self, task: TaskId, chunk: u64, text: &str, now: Timestamp) -> Result<(), StoreError> {
        let (task, text) = (task.to_string(), text.to_owned());
        in_write_tx!(self, conn => {
            let start = conn.log_end(&task)?;
            let most = signed(MAX_LOG);
            if text.is_empty() || start >= most {
                return Ok(());
            }
            let whole = signed(text.len() as u64);
            let (length, text) = if start + whole > most {
                (most - start, pack(&format!("{}{TRUNCATED}", truncate(&text, most - start))))
            } else {
                (whole, pack(&text))
            };
            let row = ChunkRow { piece: signed(chunk), start, length, at: micros(now), text, task_id: task.clone() };
            let insert = diesel::insert_into(task_log::table).values(&row).on_conflict_do_nothing();
            insert.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn read_log(&self, task: TaskId, from: u64, most: u64) -> Result<LogPart, StoreError> {
        let task = task.to_string();
        let from = signed(from);
        let until = from.saturating_add(signed(most.max(1)));
        self.blocking(move |db| {
            let (end, rows) = in_snapshot!(db, conn => Ok((conn.log_end(&task)?, conn.chunks(&task, from, until)?)))?;
            let mut part = LogPart { next: unsigned("task_log", &task, from.min(end))?, ..LogPart::default() };
            part.end = unsigned("task_log", &task, end)?;
            for row in rows {
                let text =
                    unpack(&row.text).ok_or_else(|| corrupt_row("task_log", &task, "a chunk cannot be unpacked"))?;
                let begin = usize::try_from(from - row.start).unwrap_or(0);
                part.text.push_str(&text[ceil_char_boundary(&text, begin)..]);
                part.next = unsigned("task_log", &task, row.start + row.length)?;
            }
            Ok(part)
        })
        .await
    }

    async fn forget_logs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = micros(before);
        let gone = in_write_tx!(self, conn => {
            diesel::delete(task_log::table.filter(task_log::at.lt(before))).execute(conn).map_err(TxError::from)
        })?;
        Ok(gone as u64)
    }
}

/// Returns the text up to a byte, or to the character boundary before it.
fn truncate(text: &str, most: i64) -> &str {
    let mut end = usize::try_from(most).unwrap_or(0).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Returns the first character boundary at or after a byte.
fn ceil_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
