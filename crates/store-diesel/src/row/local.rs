use diesel::prelude::*;
use patchwright_core::records::LocalPullRequest;
use patchwright_core::store::StoreError;
use patchwright_core::tracker::Comment;
use patchwright_domain::BranchName;

use super::{micros, parse, signed, timestamp, unsigned};
use crate::db::statements;
use crate::schema::{local_comment, local_pull_request};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = local_comment)]
pub(crate) struct CommentRow {
    pub(crate) id: i64,
    pub(crate) repo: String,
    pub(crate) number_api: i64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created_at: i64,
}

impl CommentRow {
    pub(crate) fn into_domain(self) -> Comment {
        Comment { id: self.id.to_string(), author: self.author, body: self.body }
    }
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = local_pull_request)]
pub(crate) struct PullRequestRow {
    repo: String,
    number_api: i64,
    head: String,
    base: String,
    title: String,
    body: String,
    draft: bool,
    state: String,
    created_at: i64,
}

impl PullRequestRow {
    pub(crate) fn new(record: &LocalPullRequest, number: u64) -> Self {
        Self {
            repo: record.repo.to_string(),
            number_api: signed(number),
            head: record.head.to_string(),
            base: record.base.to_string(),
            title: record.title.clone(),
            body: record.body.clone(),
            draft: record.draft,
            state: record.state.clone(),
            created_at: micros(record.created_at),
        }
    }

    pub(crate) fn into_domain(self) -> Result<LocalPullRequest, StoreError> {
        const T: &str = "local_pull_request";
        let id = format!("{}#{}", self.repo, self.number_api);
        Ok(LocalPullRequest {
            repo: parse(T, &id, self.repo.parse())?,
            number: unsigned(T, &id, self.number_api)?,
            head: parse(T, &id, BranchName::parse(&self.head))?,
            base: parse(T, &id, BranchName::parse(&self.base))?,
            created_at: timestamp(T, &id, self.created_at)?,
            title: self.title,
            body: self.body,
            draft: self.draft,
            state: self.state,
        })
    }
}

statements! {
    pub(crate) trait LocalStatements {
        fn comments_of(conn, repo: &str, number: i64) -> QueryResult<Vec<CommentRow>> {
            local_comment::table
                .filter(local_comment::repo.eq(repo))
                .filter(local_comment::number_api.eq(number))
                .order(local_comment::id)
                .select(CommentRow::as_select())
                .load(conn)
        }

        fn last_comment_id(conn) -> QueryResult<Option<i64>> {
            local_comment::table.select(diesel::dsl::max(local_comment::id)).first(conn)
        }

        fn insert_comment(conn, row: &CommentRow) -> QueryResult<usize> {
            diesel::insert_into(local_comment::table).values(row).execute(conn)
        }

        fn update_comment(conn, id: i64, body: &str) -> QueryResult<usize> {
            diesel::update(local_comment::table.find(id)).set(local_comment::body.eq(body)).execute(conn)
        }

        fn pull_requests_of(conn, repo: &str) -> QueryResult<Vec<PullRequestRow>> {
            local_pull_request::table
                .filter(local_pull_request::repo.eq(repo))
                .order(local_pull_request::number_api)
                .select(PullRequestRow::as_select())
                .load(conn)
        }

        fn last_pull_request(conn, repo: &str) -> QueryResult<Option<i64>> {
            local_pull_request::table
                .filter(local_pull_request::repo.eq(repo))
                .select(diesel::dsl::max(local_pull_request::number_api))
                .first(conn)
        }

        fn insert_pull_request(conn, row: &PullRequestRow) -> QueryResult<usize> {
            diesel::insert_into(local_pull_request::table).values(row).execute(conn)
        }

        fn update_pull_request(conn, row: &PullRequestRow) -> QueryResult<usize> {
            diesel::update(local_pull_request::table.find((&row.repo, row.number_api))).set(row).execute(conn)
        }
    }
}
