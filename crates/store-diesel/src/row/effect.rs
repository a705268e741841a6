use diesel::prelude::*;
use patchwright_core::store::{EffectOutcome, EffectRecord, StoreError};
use serde::Serialize;

use super::{from_json, json, micros, parse, timestamp};
use crate::db::statements;
use crate::schema::effect;

pub(crate) const WAITING: &str = "waiting";
pub(crate) const DONE: &str = "done";
pub(crate) const DEAD: &str = "dead";

#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = effect)]
pub(crate) struct EffectRow {
    pub(crate) id: String,
    issue_id: String,
    job_id: Option<String>,
    kind: String,
    body: String,
    status: String,
    pub(crate) attempts: i64,
    not_before: i64,
    error: Option<String>,
    created_at: i64,
}

impl EffectRow {
    pub(crate) fn new(record: &EffectRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id.to_string(),
            issue_id: record.issue_id.to_string(),
            job_id: record.job_id.map(|id| id.to_string()),
            kind: record.effect.kind().as_str().to_owned(),
            body: json(&record.effect)?,
            status: WAITING.to_owned(),
            attempts: 0,
            not_before: micros(record.created_at),
            error: None,
            created_at: micros(record.created_at),
        })
    }

    pub(crate) fn into_domain(self) -> Result<EffectRecord, StoreError> {
        const T: &str = "effect";
        let id = self.id.as_str();
        Ok(EffectRecord {
            id: parse(T, id, self.id.parse())?,
            issue_id: parse(T, id, self.issue_id.parse())?,
            job_id: self.job_id.map(|job| parse(T, id, job.parse())).transpose()?,
            effect: from_json(T, id, &self.body)?,
            created_at: timestamp(T, id, self.created_at)?,
        })
    }
}

/// The columns that an outcome sets in a queue with attempts: status, next attempt, and error.
pub(crate) fn columns_of(outcome: EffectOutcome) -> (&'static str, Option<i64>, Option<String>) {
    match outcome {
        EffectOutcome::Done => (DONE, None, None),
        EffectOutcome::Dead { error } => (DEAD, None, Some(error)),
        EffectOutcome::Retry { at, error } | EffectOutcome::Postponed { at, error } => {
            (WAITING, Some(micros(at)), Some(error))
        }
    }
}

statements! {
    pub(crate) trait EffectStatements {
        fn insert_effect(conn, row: &EffectRow) -> QueryResult<usize> {
            diesel::insert_into(effect::table).values(row).execute(conn)
        }

        fn claim_effect_row(conn, id: &str, attempts: i64, until: i64) -> QueryResult<usize> {
            // A claimed effect is not due until the claim expires, so that it is delivered even if its worker dies.
            diesel::update(effect::table.find(id))
                .set((effect::attempts.eq(attempts), effect::not_before.eq(until)))
                .execute(conn)
        }

        fn end_effect(conn, id: &str, status: &str, error: Option<&str>) -> QueryResult<usize> {
            diesel::update(effect::table.find(id)).set((effect::status.eq(status), effect::error.eq(error))).execute(conn)
        }

        fn forget_effects(conn, before: i64) -> QueryResult<usize> {
            diesel::delete(effect::table.filter(effect::status.eq(DONE).and(effect::created_at.lt(before)))).execute(conn)
        }

        fn postpone_effect(conn, id: &str, until: i64, error: &str, not_counted: i64) -> QueryResult<usize> {
            let attempts = effect::attempts - not_counted;
            diesel::update(effect::table.find(id))
                .set((effect::not_before.eq(until), effect::error.eq(error), effect::attempts.eq(attempts)))
                .execute(conn)
        }
    }
}
