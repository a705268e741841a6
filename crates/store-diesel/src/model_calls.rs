//! The port of recorded model calls.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::conversation::Conversation;
use patchwright_core::model_calls::{ModelCall, ModelCalls, StoredCall, Transcript};
use patchwright_core::store::StoreError;
use patchwright_domain::{JobId, TaskId};

use crate::DieselStore;
use crate::db::{TxError, corrupt_row, in_read_tx, in_write_tx, statements, store_error};
use crate::row::packed::{pack, unpack};
use crate::row::{from_json, json, micros, parse, signed, timestamp, unsigned};
use crate::schema::{conversation, model_call};

const T: &str = "model_call";
const CONVERSATION: &str = "conversation";

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = model_call)]
struct CallRow {
    task_id: String,
    number: i64,
    job_id: String,
    at: i64,
    purpose: String,
    model: String,
    usage: String,
    millis: i64,
    error: Option<String>,
}

impl CallRow {
    fn into_domain(self) -> Result<StoredCall, StoreError> {
        let id = self.task_id.as_str();
        Ok(StoredCall {
            task: parse(T, id, id.parse())?,
            at: timestamp(T, id, self.at)?,
            call: ModelCall {
                number: unsigned(T, id, self.number)?,
                purpose: self.purpose.clone(),
                model: self.model.clone(),
                usage: from_json(T, id, &self.usage)?,
                millis: unsigned(T, id, self.millis)?,
                error: self.error.clone(),
            },
        })
    }
}

statements! {
    trait CallStatements {
        fn call_rows(conn, job: &str) -> QueryResult<Vec<CallRow>> {
            model_call::table
                .filter(model_call::job_id.eq(job))
                .order((model_call::at, model_call::task_id, model_call::number))
                .select(CallRow::as_select())
                .load(conn)
        }

        fn call_row(conn, task: &str, number: i64) -> QueryResult<Option<(CallRow, Vec<u8>)>> {
            model_call::table.find((task, number)).select((CallRow::as_select(), model_call::said)).first(conn).optional()
        }

        fn conversation_text(conn, job: &str) -> QueryResult<Option<Vec<u8>>> {
            conversation::table.find(job).select(conversation::text).first(conn).optional()
        }
    }
}

#[async_trait]
impl ModelCalls for DieselStore {
    async fn add_call(
        &self,
        job: JobId,
        task: TaskId,
        call: &ModelCall,
        transcript: &Transcript,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = CallRow {
            task_id: task.to_string(),
            number: i64::from(call.number),
            job_id: job.to_string(),
            at: micros(now),
            purpose: call.purpose.clone(),
            model: call.model.clone(),
            usage: json(&call.usage)?,
            millis: signed(call.millis),
            error: call.error.clone(),
        };
        let transcript = pack(&json(transcript)?);
        in_write_tx!(self, conn => {
            let insert = diesel::insert_into(model_call::table).values((&row, model_call::said.eq(&transcript)));
            insert.on_conflict_do_nothing().execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn calls(&self, job: JobId) -> Result<Vec<StoredCall>, StoreError> {
        let job = job.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.call_rows(&job).map_err(store_error))?;
            rows.into_iter().map(CallRow::into_domain).collect()
        })
        .await
    }

    async fn call(&self, task: TaskId, number: u32) -> Result<Option<(StoredCall, Transcript)>, StoreError> {
        let task = task.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.call_row(&task, i64::from(number)).map_err(store_error))?;
            let Some((row, transcript)) = row else { return Ok(None) };
            let text = unpack(&transcript);
            let text = text.ok_or_else(|| corrupt_row(T, &task, "its transcript cannot be unpacked"))?;
            Ok(Some((row.into_domain()?, from_json(T, &task, &text)?)))
        })
        .await
    }

    async fn forget_calls(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = micros(before);
        let gone = in_write_tx!(self, conn => {
            diesel::delete(model_call::table.filter(model_call::at.lt(before))).execute(conn).map_err(TxError::from)
        })?;
        Ok(gone as u64)
    }

    async fn save_conversation(
        &self,
        job: JobId,
        conversation: &Conversation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (job, at, text) = (job.to_string(), micros(now), pack(&json(conversation)?));
        in_write_tx!(self, conn => {
            let values = (conversation::job_id.eq(&job), conversation::at.eq(at), conversation::text.eq(&text));
            let insert = diesel::insert_into(conversation::table).values(values).on_conflict(conversation::job_id);
            let update = insert.do_update().set((conversation::at.eq(at), conversation::text.eq(&text)));
            update.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn conversation(&self, job: JobId) -> Result<Option<Conversation>, StoreError> {
        let job = job.to_string();
        self.blocking(move |db| {
            let packed = in_read_tx!(db, conn => conn.conversation_text(&job).map_err(store_error))?;
            let Some(packed) = packed else { return Ok(None) };
            let text = unpack(&packed).ok_or_else(|| corrupt_row(CONVERSATION, &job, "it cannot be unpacked"))?;
            from_json(CONVERSATION, &job, &text).map(Some)
        })
        .await
    }

    async fn delete_conversation(&self, job: JobId) -> Result<(), StoreError> {
        let job = job.to_string();
        in_write_tx!(self, conn => {
            diesel::delete(conversation::table.find(&job)).execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }
}
