//! The board: issues by status, the queue, and the nodes.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{IssueStatus, JobSummary};

use crate::{Layout, Translations};

/// An issue on the board.
#[derive(Debug, Clone)]
pub struct Card {
    /// The URL of its page.
    pub page: String,
    /// The title, one line.
    pub title: String,
    /// `owner/name #12`
    pub place: String,
    /// The current stage of its job.
    pub stage: Option<StageKind>,
    /// Whether its plan waits for approval.
    pub awaits_approval: bool,
}

/// The issues of one status.
#[derive(Debug, Clone)]
pub struct Column {
    /// The status.
    pub status: IssueStatus,
    /// The number of issues.
    pub count: u64,
    /// The newest issues.
    pub cards: Vec<Card>,
}

/// A queued job.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The id.
    pub id: String,
    /// The issue.
    pub title: String,
    /// `owner/name`
    pub repository: String,
    /// The position in the repository's queue, from 1.
    pub turn: u64,
    /// The requester.
    pub actor: String,
    /// The time of the request.
    pub since: Timestamp,
}

impl Waiting {
    /// Creates the entry of a job with its position.
    pub fn new(job: &JobSummary, turn: u64) -> Self {
        Self {
            id: job.id.to_string(),
            title: job.title.clone(),
            repository: job.source.repo.to_string(),
            turn,
            actor: job.trigger.actor.clone(),
            since: job.created_at,
        }
    }
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodeCard {
    /// The id; `None` for the server's own process, which cannot be drained.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// Whether its last heartbeat is recent.
    pub online: bool,
    /// Whether it gets no new tasks.
    pub draining: bool,
    /// The number of its tasks.
    pub running: u32,
    /// The most tasks that it runs at the same time.
    pub capacity: u32,
    /// The load average per processor, in hundredths; `None` if unknown.
    pub load: Option<u32>,
    /// The free disk space, in bytes.
    pub disk_free: Option<u64>,
    /// The time of its last heartbeat.
    pub seen_at: Option<Timestamp>,
    /// The version.
    pub version: String,
    /// The labels.
    pub labels: Vec<String>,
}

impl NodeCard {
    const fn chip(&self, words: &Translations) -> (&'static str, &'static str) {
        words.node_state(self.online, self.draining)
    }

    fn disk(&self) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
        self.disk_free.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)))
    }
}

/// The board.
#[derive(Debug, Template)]
#[template(path = "board.html")]
pub struct Board<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// Issues by status.
    pub columns: &'a [Column],
    /// The queued jobs, in order.
    pub waiting: &'a [Waiting],
    /// The number of queued jobs.
    pub queued: u64,
    /// The nodes.
    pub nodes: &'a [NodeCard],
    /// Whether the viewer may drain nodes.
    pub may_drain: bool,
}
