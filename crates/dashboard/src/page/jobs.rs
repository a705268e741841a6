//! The list of jobs.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{JobStatus, JobSummary, Usage};

use super::SavedFilter;
use crate::Layout;

/// One job in the list.
#[derive(Debug, Clone)]
pub struct JobListRow {
    /// The id.
    pub id: String,
    /// The title of its issue, one line.
    pub title: String,
    /// `owner/name`
    pub repository: String,
    /// `#12` or `PROJ-12`.
    pub issue: String,
    /// The status.
    pub status: JobStatus,
    /// Whether its plan waits for approval.
    pub awaits_approval: bool,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// The number of the pull request, and its page if it has one.
    pub pull_request: Option<(u64, Option<String>)>,
    /// Who asked for it.
    pub actor: String,
    /// The tokens and what they cost.
    pub usage: Usage,
    /// How many seconds it ran, once it ended.
    pub seconds: Option<f64>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl From<&JobSummary> for JobListRow {
    fn from(job: &JobSummary) -> Self {
        let pull_request = job.published.pull_request.as_ref();
        let page = |url: &String| Some(url.clone()).filter(|url| url.starts_with("http"));
        Self {
            id: job.id.to_string(),
            title: job.title.clone(),
            repository: job.source.repo.to_string(),
            issue: job.source.name(),
            status: job.status(),
            awaits_approval: job.awaits_approval(),
            verdict: job.verdict,
            pull_request: pull_request.map(|pull| (pull.number, page(&pull.url))),
            actor: job.trigger.actor.clone(),
            usage: job.usage(),
            seconds: job.started_at.zip(job.ended_at).map(|(from, to)| to.duration_since(from).as_secs_f64()),
            created_at: job.created_at,
        }
    }
}

/// The filter of the list, as it was chosen.
#[derive(Debug, Clone, Default)]
pub struct JobListFilter {
    /// The status.
    pub status: Option<JobStatus>,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// `owner/name`; empty for all.
    pub repository: String,
    /// A login; empty for all.
    pub actor: String,
}

/// The list of jobs, newest first.
#[derive(Debug, Template)]
#[template(path = "jobs.html")]
pub struct Jobs<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time, for relative times.
    pub now: Timestamp,
    /// The rows.
    pub rows: &'a [JobListRow],
    /// The filter.
    pub filter: &'a JobListFilter,
    /// The repositories to choose from.
    pub repositories: &'a [String],
    /// The URL of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later: bool,
    /// The filters that the viewer keeps.
    pub saved: &'a [SavedFilter],
    /// The query of the filter; empty for none.
    pub query: &'a str,
}

impl Jobs<'_> {
    fn has_status(&self, status: JobStatus) -> bool {
        self.filter.status == Some(status)
    }

    fn has_verdict(&self, verdict: Verdict) -> bool {
        self.filter.verdict == Some(verdict)
    }

    fn is_filtered(&self) -> bool {
        let JobListFilter { status, verdict, repository, actor } = self.filter;
        status.is_some() || verdict.is_some() || !repository.is_empty() || !actor.is_empty()
    }

    /// Returns the cost, or else the tokens.
    fn cost(&self, row: &JobListRow) -> String {
        let words = self.layout.translations();
        match (words.money(row.usage), row.usage.tokens()) {
            (_, 0) => String::new(),
            (cost, tokens) if cost.is_empty() => format!("{tokens} {}", words.tokens),
            (cost, _) => cost,
        }
    }
}
