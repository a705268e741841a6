//! The list of jobs.

use actix_web::{HttpResponse, web};
use patchwright_core::query::JobFilter;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{JobId, JobStatus};
use patchwright_management::ManagementError;
use serde::Deserialize;

use super::State;
use super::filters::{list_saved, query_of};
use super::page_request::{PageError, PageRequest, parse_word, repository_names};
use crate::page::{JobListFilter, JobListRow, Jobs, Page as _};

/// How many jobs a page shows.
const PAGE_SIZE: u16 = 50;

/// The filter of the list. A form sends empty fields for inputs that are empty.
#[derive(Deserialize)]
pub(super) struct JobListQuery {
    #[serde(default)]
    status: String,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    cursor: String,
}

impl JobListQuery {
    fn filter(&self) -> Result<JobListFilter, ManagementError> {
        Ok(JobListFilter {
            status: parse_word(&self.status, JobStatus::parse, "status of a job")?,
            verdict: parse_word(&self.verdict, Verdict::parse, "verdict")?,
            repository: self.repository.clone(),
            actor: self.actor.trim().to_owned(),
        })
    }

    fn fields(&self) -> [(&str, &str); 4] {
        [("status", &self.status), ("verdict", &self.verdict), ("repository", &self.repository), ("actor", &self.actor)]
    }

    /// Returns the URL of the next page after a job.
    fn next(&self, last: JobId) -> String {
        let last = last.to_string();
        format!("/jobs?{}", query_of(&[&self.fields()[..], &[("cursor", &last)]].concat()))
    }
}

pub(super) async fn list(
    page: PageRequest,
    query: web::Query<JobListQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let html = render(&page, &query, &state).await;
    page.render(html)
}

async fn render(page: &PageRequest, query: &JobListQuery, state: &State) -> Result<String, ManagementError> {
    let filter = query.filter()?;
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let before = given(&query.cursor).map(|cursor| cursor.parse()).transpose();
    let found = JobFilter {
        status: filter.status,
        verdict: filter.verdict,
        repository: given(&filter.repository),
        actor: given(&filter.actor),
        before: before.map_err(|_| ManagementError::invalid("bad_cursor", "there is no such page"))?,
        limit: PAGE_SIZE,
        ..JobFilter::default()
    };
    let jobs = state.management.jobs().list(&page.principal, found).await?;
    let rows: Vec<JobListRow> = jobs.iter().map(JobListRow::from).collect();
    let last = jobs.last().filter(|_| jobs.len() == usize::from(PAGE_SIZE));
    Ok(Jobs {
        layout: &page.layout,
        now: state.management.now(),
        rows: &rows,
        repositories: &repository_names(page, state, &filter.repository).await?,
        filter: &filter,
        next: last.map(|job| query.next(job.id)),
        is_later: !query.cursor.is_empty(),
        saved: &list_saved(page, state, "/jobs").await?,
        query: &query_of(&query.fields()),
    }
    .html())
}
