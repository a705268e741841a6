use diesel::dsl::{exists, not};
use diesel::prelude::*;
use patchwright_core::store::{RequestWrite, StoreError};
use patchwright_domain::{IssueRef, Request, RequestState, RequestStatus};
use serde::Serialize;

use super::{from_json, json, micros, signed};
use crate::db::statements;
use crate::schema::trigger_request;

pub(crate) const REQUESTED: &str = RequestStatus::Requested.as_str();

#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = trigger_request)]
pub(crate) struct RequestRow {
    pub(crate) id: String,
    platform: String,
    repo: String,
    number_api: i64,
    actor: String,
    body: String,
    status: String,
    answered_at: Option<i64>,
    pub(crate) attempts: i64,
    not_before: i64,
    error: Option<String>,
    created_at: i64,
}

/// A request to insert or to decide.
pub(crate) struct RequestChange {
    pub(crate) row: RequestRow,
    pub(crate) is_new: bool,
}

impl RequestChange {
    pub(crate) fn new(write: &RequestWrite) -> Result<Self, StoreError> {
        let row = RequestRow::new(write.request())?;
        Ok(Self { row, is_new: matches!(write, RequestWrite::Insert(_)) })
    }

    pub(crate) fn inserted(&self) -> Option<&RequestRow> {
        self.is_new.then_some(&self.row)
    }

    pub(crate) fn decided(&self) -> Option<&RequestRow> {
        (!self.is_new).then_some(&self.row)
    }
}

impl RequestRow {
    fn new(request: &Request) -> Result<Self, StoreError> {
        let source = &request.trigger.issue.source;
        let answered_at = match &request.state {
            RequestState::Refused { answered: true, at, .. } => Some(micros(*at)),
            _ => None,
        };
        Ok(Self {
            id: request.id.to_string(),
            platform: source.platform.as_str().to_owned(),
            repo: source.repo.to_string(),
            number_api: signed(source.number.api),
            actor: request.trigger.actor.to_lowercase(),
            body: json(request)?,
            status: request.state.status().as_str().to_owned(),
            answered_at,
            attempts: 0,
            not_before: micros(request.requested_at),
            error: None,
            created_at: micros(request.requested_at),
        })
    }

    pub(crate) fn into_domain(self) -> Result<Request, StoreError> {
        from_json("trigger_request", &self.id, &self.body)
    }
}

/// The columns that a decision writes, for SQL text.
pub(crate) const DECISION: [&str; 3] = ["body", "status", "answered_at"];

diesel::alias!(trigger_request as older: Older);

statements! {
    pub(crate) trait RequestStatements {
        fn insert_request(conn, row: &RequestRow) -> QueryResult<usize> {
            diesel::insert_into(trigger_request::table).values(row).execute(conn)
        }

        fn decide_request(conn, row: &RequestRow) -> QueryResult<usize> {
            diesel::update(trigger_request::table.find(&row.id).filter(trigger_request::status.eq(REQUESTED)))
                .set((
                    trigger_request::body.eq(&row.body),
                    trigger_request::status.eq(&row.status),
                    trigger_request::answered_at.eq(row.answered_at),
                ))
                .execute(conn)
        }

        fn request_row(conn, id: &str) -> QueryResult<Option<RequestRow>> {
            trigger_request::table.find(id).select(RequestRow::as_select()).first(conn).optional()
        }

        fn due_request(conn, now: i64) -> QueryResult<Option<RequestRow>> {
            let before = older
                .filter(older.field(trigger_request::status).eq(REQUESTED))
                .filter(older.field(trigger_request::platform).eq(trigger_request::platform))
                .filter(older.field(trigger_request::repo).eq(trigger_request::repo))
                .filter(older.field(trigger_request::number_api).eq(trigger_request::number_api))
                .filter(older.field(trigger_request::actor).eq(trigger_request::actor))
                .filter(older.field(trigger_request::id).lt(trigger_request::id));
            trigger_request::table
                .filter(trigger_request::status.eq(REQUESTED).and(trigger_request::not_before.le(now)))
                .filter(not(exists(before)))
                .order((trigger_request::not_before, trigger_request::id))
                .select(RequestRow::as_select())
                .first(conn)
                .optional()
        }

        // Of several workers that read the row, one finds it unchanged.
        fn claim_request_row(conn, id: &str, attempts: i64, until: i64) -> QueryResult<usize> {
            let same = trigger_request::table.find(id).filter(trigger_request::status.eq(REQUESTED).and(trigger_request::attempts.eq(attempts)));
            diesel::update(same)
                .set((trigger_request::attempts.eq(attempts + 1), trigger_request::not_before.eq(until)))
                .execute(conn)
        }

        fn retry_request_row(conn, id: &str, at: i64, error: &str, not_counted: i64) -> QueryResult<usize> {
            diesel::update(trigger_request::table.find(id))
                .set((
                    trigger_request::not_before.eq(at),
                    trigger_request::error.eq(error),
                    trigger_request::attempts.eq(trigger_request::attempts - not_counted),
                ))
                .execute(conn)
        }

        fn has_answered_refusal(conn, issue: &IssueRef, actor: &str, since: i64) -> QueryResult<bool> {
            let on_issue = trigger_request::table
                .filter(trigger_request::platform.eq(issue.platform.as_str()))
                .filter(trigger_request::repo.eq(issue.repo.to_string()))
                .filter(trigger_request::number_api.eq(signed(issue.number.api)))
                .filter(trigger_request::answered_at.is_not_null());
            let found = on_issue
                .filter(trigger_request::actor.eq(actor.to_lowercase()).or(trigger_request::answered_at.gt(since).assume_not_null()));
            diesel::select(exists(found)).get_result(conn)
        }

        fn forget_requests(conn, before: i64) -> QueryResult<usize> {
            let old = trigger_request::table.filter(trigger_request::status.ne(REQUESTED).and(trigger_request::created_at.lt(before)));
            diesel::delete(old).execute(conn)
        }

        fn earliest_request(conn, after: i64) -> QueryResult<Option<i64>> {
            trigger_request::table
                .filter(trigger_request::status.eq(REQUESTED).and(trigger_request::not_before.gt(after)))
                .select(diesel::dsl::min(trigger_request::not_before))
                .first(conn)
        }
    }
}
