//! The list of issues.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::{Issue, IssueStatus, JobStatus, JobSummary};

use super::{JobListRow, SavedFilter};
use crate::{Layout, Translations};

/// How many labels of an issue the list shows.
const MAX_LABELS: usize = 4;

/// The Start button of an issue in its five forms (`docs/requirements.md#management`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartButton {
    /// The status of the issue.
    pub status: IssueStatus,
    /// Whether the viewer may start the issue.
    pub allowed: bool,
}

impl StartButton {
    /// Returns whether it is enabled.
    pub const fn is_enabled(&self) -> bool {
        self.allowed && matches!(self.status, IssueStatus::Pending | IssueStatus::Terminated)
    }

    /// Returns whether it shows a spinner.
    pub const fn is_busy(&self) -> bool {
        matches!(self.status, IssueStatus::Processing)
    }
}

/// One issue in the list.
#[derive(Debug, Clone)]
pub struct IssueRow {
    /// The id.
    pub id: String,
    /// `#12` or `PROJ-12`.
    pub name: String,
    /// The title, one line.
    pub title: String,
    /// `owner/name`
    pub repository: String,
    /// The status.
    pub status: IssueStatus,
    /// Its author on the forge.
    pub author: String,
    /// Its labels, as far as they fit.
    pub labels: Vec<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its newest job, if there is one.
    pub job: Option<JobListRow>,
    /// The Start button.
    pub button: StartButton,
}

impl IssueRow {
    /// Creates the row of an issue with its newest job; `may_start` is the viewer's permission.
    pub fn new(issue: &Issue, job: Option<&JobSummary>, may_start: bool) -> Self {
        Self {
            id: issue.id.to_string(),
            name: issue.source.name(),
            title: issue.title.clone(),
            repository: issue.source.repo.to_string(),
            status: issue.status,
            author: issue.author.clone(),
            labels: issue.labels.iter().take(MAX_LABELS).cloned().collect(),
            updated_at: issue.updated_at,
            job: job.map(JobListRow::from),
            button: StartButton { status: issue.status, allowed: may_start },
        }
    }
}

impl IssueRow {
    /// Returns the class and the word of its state: an issue whose job has not begun is not being worked on.
    fn state(&self, words: &'static Translations) -> (&'static str, &'static str) {
        match &self.job {
            Some(job) if self.status == IssueStatus::Processing && job.awaits_approval => {
                (IssueStatus::PendingMerge.as_str(), words.awaits_approval)
            }
            Some(job) if self.status == IssueStatus::Processing && job.status == JobStatus::Queued => {
                (JobStatus::Queued.as_str(), words.job_status(JobStatus::Queued))
            }
            _ => (self.status.as_str(), words.issue_status(self.status)),
        }
    }
}

/// The list of issues.
#[derive(Debug, Template)]
#[template(path = "issues.html")]
pub struct Issues<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time, for relative times.
    pub now: Timestamp,
    /// The rows.
    pub rows: &'a [IssueRow],
    /// The filter for a status.
    pub status: Option<IssueStatus>,
    /// The filter for a repository.
    pub repository: &'a str,
    /// The filter for a text.
    pub search: &'a str,
    /// The order of the rows, which the link to the next page keeps.
    pub order: IssueOrder,
    /// The repositories to choose from.
    pub repositories: &'a [String],
    /// Whether the viewer may open issues, and may import them.
    pub may_open: bool,
    /// See [`Self::may_open`].
    pub may_import: bool,
    /// The URL of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later: bool,
    /// The filters that the viewer keeps.
    pub saved: &'a [SavedFilter],
    /// The query of the filter; empty for none.
    pub query: &'a str,
}

impl Issues<'_> {
    fn is_chosen(&self, status: IssueStatus) -> bool {
        self.status == Some(status)
    }

    fn is_order(&self, order: IssueOrder) -> bool {
        self.order == order
    }

    fn is_filtered(&self) -> bool {
        self.status.is_some() || !self.repository.is_empty() || !self.search.is_empty()
    }

    fn has_startable(&self) -> bool {
        self.rows.iter().any(|row| row.button.is_enabled())
    }
}

/// An issue to open.
#[derive(Debug, Template)]
#[template(path = "draft.html")]
pub struct DraftPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The repositories to choose from: id and name.
    pub repositories: &'a [(String, String)],
    /// The selected one.
    pub chosen: &'a str,
}
