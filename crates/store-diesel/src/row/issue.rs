use diesel::prelude::*;
use patchwright_core::query::IssueFilter;
use patchwright_core::store::{StoreError, Versioned};
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::{Issue, IssueNumber, IssueRef, IssueStatus, PlatformId};
use serde::Serialize;

use super::{from_json, json, micros, parse, signed, timestamp, unsigned};
use crate::access::{limits, visible_issues};
use crate::db::{corrupt_row, statements};
use crate::schema::issue;

#[diesel::declare_sql_function]
extern "SQL" {
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

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
    owner: Option<String>,
    tracker: Option<String>,
    labels: String,
}

impl IssueRow {
    pub(crate) fn new(issue: &Issue, revision: i64) -> Result<Self, StoreError> {
        Ok(Self {
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
            owner: issue.owner.map(|id| id.to_string()),
            tracker: issue.source.tracker.as_ref().map(json).transpose()?,
            labels: json(&issue.labels)?,
        })
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
                tracker: self.tracker.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            },
            status: IssueStatus::parse(&self.status).ok_or_else(|| corrupt_row(T, id, &self.status))?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            owner: self.owner.as_ref().map(|owner| parse(T, id, owner.parse())).transpose()?,
            labels: from_json(T, id, &self.labels)?,
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

        fn issue_page(conn, filter: &IssueFilter) -> QueryResult<Vec<IssueRow>> {
            let mut query = issue::table.limit(i64::from(filter.limit)).into_boxed();
            query = match filter.order {
                IssueOrder::Newest => query.order(issue::id.desc()),
                IssueOrder::Oldest => query.order(issue::id.asc()),
                IssueOrder::Updated => query.order((issue::updated_at.desc(), issue::id.desc())),
            };
            if let Some(status) = filter.status {
                query = query.filter(issue::status.eq(status.as_str()));
            }
            if let Some(repository) = &filter.repository {
                query = query.filter(issue::repo.eq(repository));
            }
            if let Some(number) = filter.number {
                query = query.filter(issue::number_display.eq(signed(number)));
            }
            if let Some(text) = &filter.text {
                // SQLite folds the case of ASCII letters only. The wildcards of LIKE are escaped.
                let plain = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                let pattern = format!("%{plain}%");
                query = query.filter(
                    lower(issue::title)
                        .like(pattern.clone())
                        .escape('\\')
                        .or(lower(issue::body).like(pattern).escape('\\')),
                );
            }
            if let Some((user, repositories)) = limits(&filter.visible) {
                query = query.filter(visible_issues(user, repositories));
            }
            if let Some(last) = filter.after.map(|id| id.to_string()) {
                query = match filter.order {
                    IssueOrder::Newest => query.filter(issue::id.lt(last)),
                    IssueOrder::Oldest => query.filter(issue::id.gt(last)),
                    IssueOrder::Updated => {
                        let at = issue::table.find(&last).select(issue::updated_at).first::<i64>(conn).optional()?;
                        // Nothing follows an issue that is not there.
                        let at = at.unwrap_or(i64::MIN);
                        let earlier = issue::updated_at.lt(at);
                        query.filter(earlier.or(issue::updated_at.eq(at).and(issue::id.lt(last))))
                    }
                };
            }
            query.select(IssueRow::as_select()).load(conn)
        }

        fn last_issue(conn, platform: &str, repo: &str) -> QueryResult<Option<i64>> {
            issue::table
                .filter(issue::platform.eq(platform).and(issue::repo.eq(repo)))
                .select(diesel::dsl::max(issue::number_api))
                .get_result(conn)
        }

        fn insert_issue(conn, row: &IssueRow) -> QueryResult<usize> {
            diesel::insert_into(issue::table).values(row).execute(conn)
        }

        fn update_issue(conn, row: &IssueRow, expected: i64) -> QueryResult<usize> {
            diesel::update(issue::table.find(&row.id).filter(issue::revision.eq(expected))).set(row).execute(conn)
        }
    }
}

/// The columns that an update writes, for SQL text.
pub(crate) const CHANGES: [&str; 9] =
    ["title", "body", "author", "status", "updated_at", "revision", "owner", "tracker", "labels"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_names_every_column_that_can_change() {
        let row = IssueRow::new(&patchwright_testkit::build::issue(1), 1).unwrap();
        let value = serde_json::to_value(row).unwrap();
        let mut columns: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let fixed = ["id", "platform", "repo", "number_api", "number_display", "created_at"];
        columns.retain(|column| !fixed.contains(column));
        let mut named = CHANGES.to_vec();
        named.sort_unstable();
        columns.sort_unstable();
        assert_eq!(columns, named);
    }
}
