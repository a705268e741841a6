//! The port of the built-in forge's comments and pull requests.

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::records::{ForgeRecords, LocalPullRequest};
use patchwright_core::store::{Step, Store, StoreError, Write};
use patchwright_core::tracker::Comment;
use patchwright_domain::{Issue, IssueRef, RepoName};

use crate::DieselStore;
use crate::db::{in_read_tx, in_write_tx, store_error};
use crate::row::issue::IssueStatements;
use crate::row::local::{CommentRow, LocalStatements, PullRequestRow};
use crate::row::{micros, signed, unsigned};

#[async_trait]
impl ForgeRecords for DieselStore {
    async fn local_issue(&self, issue: &IssueRef) -> Result<Option<Issue>, StoreError> {
        Ok(self.issue_by_source(issue).await?.map(|found| found.value))
    }

    async fn next_local_issue(&self, repo: &RepoName) -> Result<u64, StoreError> {
        let repo = repo.to_string();
        self.blocking(move |db| {
            let last = in_read_tx!(db, conn => conn.last_issue("local", &repo).map_err(store_error))?;
            unsigned("issue", &repo, last.unwrap_or(0) + 1)
        })
        .await
    }

    async fn add_local_issue(&self, issue: Issue) -> Result<(), StoreError> {
        self.commit(Step { issue: Some(Write::Insert(issue)), ..Step::default() }).await
    }

    async fn local_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, StoreError> {
        let repo = repo.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.comments_of(&repo, signed(number)).map_err(store_error))?;
            Ok(rows.into_iter().map(CommentRow::into_domain).collect())
        })
        .await
    }

    async fn add_local_comment(
        &self,
        repo: &RepoName,
        number: u64,
        author: &str,
        body: &str,
        at: Timestamp,
    ) -> Result<String, StoreError> {
        let mut row = CommentRow {
            id: 0,
            repo: repo.to_string(),
            number_api: signed(number),
            author: author.to_owned(),
            body: body.to_owned(),
            created_at: micros(at),
        };
        in_write_tx!(self, conn => {
            row.id = conn.last_comment_id()?.unwrap_or(0) + 1;
            conn.insert_comment(&row)?;
            Ok(row.id.to_string())
        })
    }

    async fn edit_local_comment(&self, id: &str, body: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse::<i64>() else { return Ok(false) };
        let body = body.to_owned();
        in_write_tx!(self, conn => Ok(conn.update_comment(id, &body)? > 0))
    }

    async fn local_pull_requests(&self, repo: &RepoName) -> Result<Vec<LocalPullRequest>, StoreError> {
        let repo = repo.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.pull_requests_of(&repo).map_err(store_error))?;
            rows.into_iter().map(PullRequestRow::into_domain).collect()
        })
        .await
    }

    async fn add_local_pull_request(&self, new: LocalPullRequest) -> Result<u64, StoreError> {
        in_write_tx!(self, conn => {
            let last = conn.last_pull_request(&new.repo.to_string())?.unwrap_or(0);
            let number = unsigned("local_pull_request", "number", last + 1)?;
            conn.insert_pull_request(&PullRequestRow::new(&new, number))?;
            Ok(number)
        })
    }

    async fn change_local_pull_request(&self, changed: LocalPullRequest) -> Result<bool, StoreError> {
        let row = PullRequestRow::new(&changed, changed.number);
        in_write_tx!(self, conn => Ok(conn.update_pull_request(&row)? > 0))
    }
}
