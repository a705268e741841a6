//! The list of issues.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::{Issue, IssueStatus};

use crate::Layout;

/// The Start button of an issue in its five forms (`docs/requirements.md#management`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartButton {
    /// Where the issue stands.
    pub status: IssueStatus,
    /// Whether whoever looks may press it.
    pub allowed: bool,
}

impl StartButton {
    /// Whether it can be pressed.
    pub const fn is_enabled(&self) -> bool {
        self.allowed && matches!(self.status, IssueStatus::Pending | IssueStatus::Terminated)
    }

    /// Whether it turns.
    pub const fn is_busy(&self) -> bool {
        matches!(self.status, IssueStatus::Processing)
    }
}

/// One issue in the list.
#[derive(Debug, Clone)]
pub struct IssueRow {
    /// Ours.
    pub id: String,
    /// `#12` or `PROJ-12`.
    pub name: String,
    /// One line.
    pub title: String,
    /// `owner/name`
    pub repository: String,
    /// Where it stands.
    pub status: IssueStatus,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its button.
    pub button: StartButton,
}

impl IssueRow {
    /// An issue as its row; `may_start` for whoever looks.
    pub fn new(issue: &Issue, may_start: bool) -> Self {
        Self {
            id: issue.id.to_string(),
            name: issue.source.name(),
            title: issue.title.clone(),
            repository: issue.source.repo.to_string(),
            status: issue.status,
            updated_at: issue.updated_at,
            button: StartButton { status: issue.status, allowed: may_start },
        }
    }
}

/// The list of issues.
#[derive(Debug, Template)]
#[template(path = "issues.html")]
pub struct Issues<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// The time, for how long ago things were.
    pub now: Timestamp,
    /// What is shown.
    pub rows: &'a [IssueRow],
    /// Only of this status.
    pub status: Option<IssueStatus>,
    /// Only of this repository.
    pub repository: &'a str,
    /// Only with this text.
    pub search: &'a str,
    /// The repositories to choose from.
    pub repositories: &'a [String],
    /// Whether whoever looks may open issues, and may import them.
    pub may_open: bool,
    /// See [`Self::may_open`].
    pub may_import: bool,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later: bool,
}

impl Issues<'_> {
    fn is_chosen(&self, status: IssueStatus) -> bool {
        self.status == Some(status)
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
    /// Around it.
    pub layout: &'a Layout,
    /// The repositories to choose from: id and name.
    pub repositories: &'a [(String, String)],
    /// The one that is chosen.
    pub chosen: &'a str,
}
