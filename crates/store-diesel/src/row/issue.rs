use diesel::prelude::*;
use patchwright_core::store::{StoreError, Versioned};
use patchwright_domain::{Issue, IssueNumber, IssueRef, IssueStatus, PlatformId};
use serde::Serialize;

use super::{micros, parse, signed, timestamp, unsigned};
use crate::db::{broken, statements};
use crate::schema::issue;

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = issue, treat_none_as_null = true)]
pub(crate) struct IssueRow {
    id: String,
    platform: String,
    repo: String,
    number_api: i64,
    number_display: i64,
    title: String,
    body: String,
    author: String,
    status: String,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl IssueRow {
    pub(crate) fn new(issue: &Issue, revision: i64) -> Self {
        Self {
            id: issue.id.to_string(),
            platform: issue.source.platform.as_str().to_owned(),
            repo: issue.source.repo.to_string(),
            number_api: signed(issue.source.number.api),
            number_display: signed(issue.source.number.display),
            title: issue.title.clone(),
            body: issue.body.clone(),
            author: issue.author.clone(),
            status: issue.status.as_str().to_owned(),
            created_at: micros(issue.created_at),
            updated_at: micros(issue.updated_at),
            revision,
        }
    }

    pub(crate) fn into_domain(self) -> Result<Versioned<Issue>, StoreError> {
        const T: &str = "issue";
        let id = self.id.as_str();
        let number =
            IssueNumber { api: unsigned(T, id, self.number_api)?, display: unsigned(T, id, self.number_display)? };
        let issue = Issue {
            id: parse(T, id, self.id.parse())?,
            source: IssueRef {
                platform: PlatformId::new(self.platform),
                repo: parse(T, id, self.repo.parse())?,
                number,
            },
            status: IssueStatus::parse(&self.status).ok_or_else(|| broken(T, id, &self.status))?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            title: self.title,
            body: self.body,
            author: self.author,
        };
        Ok(Versioned { value: issue, revision: self.revision })
    }
}

statements! {
    pub(crate) trait IssueStatements {
        fn issue_by_id(conn, id: &str) -> QueryResult<Option<IssueRow>> {
            issue::table.find(id).select(IssueRow::as_select()).first(conn).optional()
        }

        fn issue_by_source(conn, source: &IssueRef) -> QueryResult<Option<IssueRow>> {
            issue::table
                .filter(issue::platform.eq(source.platform.as_str()))
                .filter(issue::repo.eq(source.repo.to_string()))
                .filter(issue::number_api.eq(signed(source.number.api)))
                .select(IssueRow::as_select())
                .first(conn)
                .optional()
        }

        fn insert_issue(conn, row: &IssueRow) -> QueryResult<usize> {
            diesel::insert_into(issue::table).values(row).execute(conn)
        }

        fn update_issue(conn, row: &IssueRow, expected: i64) -> QueryResult<usize> {
            diesel::update(issue::table.find(&row.id).filter(issue::revision.eq(expected))).set(row).execute(conn)
        }
    }
}

/// The columns that an update writes, for statements of our own text.
pub(crate) const CHANGES: [&str; 6] = ["title", "body", "author", "status", "updated_at", "revision"];
