//! One issue.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{Issue, IssueStatus, JobStatus, JobSummary};

use super::StartButton;
use crate::{Layout, Translations, markdown};

/// One job of the issue.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The id.
    pub id: String,
    /// The status.
    pub status: JobStatus,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// The requester.
    pub actor: String,
    /// The error, if it failed.
    pub failure: Option<String>,
    /// The number and URL of the pull request.
    pub pull_request: Option<(u64, String)>,
    /// When it was requested.
    pub created_at: Timestamp,
}

impl From<&JobSummary> for JobRow {
    fn from(job: &JobSummary) -> Self {
        let pull_request = job.published.pull_request.as_ref();
        Self {
            id: job.id.to_string(),
            status: job.status(),
            verdict: job.verdict,
            actor: job.trigger.actor.clone(),
            failure: job.failure.as_ref().map(|failure| failure.reason.clone()),
            pull_request: pull_request.map(|pull_request| (pull_request.number, pull_request.url.clone())),
            created_at: job.created_at,
        }
    }
}

impl JobRow {
    fn outcome(&self, words: &'static Translations) -> String {
        match (&self.failure, self.verdict) {
            (Some(failure), _) => words.translate(failure),
            (None, Some(verdict)) => words.verdict(verdict).to_owned(),
            (None, None) => String::new(),
        }
    }
}

/// One issue with its jobs.
#[derive(Debug, Template)]
#[template(path = "issue.html")]
pub struct IssuePage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// The issue.
    pub issue: &'a Issue,
    /// The URL of the issue's original page.
    pub url: Option<String>,
    /// The jobs, newest first.
    pub jobs: &'a [JobRow],
    /// Whether the viewer may start, cancel and merge it.
    pub may_start: bool,
}

impl IssuePage<'_> {
    const fn button(&self) -> StartButton {
        StartButton { status: self.issue.status, allowed: self.may_start }
    }

    fn body(&self) -> String {
        markdown::to_html(&self.issue.body)
    }

    fn can_cancel(&self) -> bool {
        self.may_start && self.issue.status == IssueStatus::Processing
    }

    /// Returns whether instructions for a further job can be sent.
    const fn can_ask(&self) -> bool {
        self.may_start && !matches!(self.issue.status, IssueStatus::Merged)
    }

    const fn begins(&self) -> bool {
        matches!(self.issue.status, IssueStatus::Pending | IssueStatus::Terminated)
    }

    fn can_merge(&self) -> bool {
        self.may_start && self.issue.status == IssueStatus::PendingMerge
    }
}

/// A comment on the issue.
#[derive(Debug, Clone)]
pub struct CommentRow {
    /// The author.
    pub author: String,
    /// Whether this server wrote it.
    pub is_ours: bool,
    /// The text as safe HTML.
    pub html: String,
}

impl CommentRow {
    /// Creates an entry from a comment in Markdown.
    pub fn new(author: String, is_ours: bool, body: &str) -> Self {
        Self { author, is_ours, html: markdown::to_html(body) }
    }
}

/// The comments of an issue.
#[derive(Debug, Template)]
#[template(path = "conversation.html")]
pub struct ConversationPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The issue.
    pub issue: &'a Issue,
    /// The comments, oldest first; `None` if they cannot be read now.
    pub comments: Option<&'a [CommentRow]>,
}
