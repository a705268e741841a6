//! The board: what stands where, what waits, and who works.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::{IssueStatus, JobSummary};

use crate::{Layout, Translations};

/// An issue on the board.
#[derive(Debug, Clone)]
pub struct Card {
    /// Its page.
    pub page: String,
    /// One line.
    pub title: String,
    /// `owner/name #12`
    pub place: String,
    /// What its job is at.
    pub stage: Option<StageKind>,
    /// Whether its plan waits for people.
    pub awaits_approval: bool,
}

/// The issues of one status.
#[derive(Debug, Clone)]
pub struct Column {
    /// Which.
    pub status: IssueStatus,
    /// How many there are.
    pub count: u64,
    /// The newest of them.
    pub cards: Vec<Card>,
}

/// A job that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// Its issue.
    pub title: String,
    /// `owner/name`
    pub repository: String,
    /// Its turn there, from 1.
    pub turn: u64,
    /// Who asked.
    pub actor: String,
    /// Since when.
    pub since: Timestamp,
}

impl Waiting {
    /// A job with its turn.
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
    /// Its id; nothing for the server's own process, which cannot be drained.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it was heard of lately.
    pub online: bool,
    /// Whether it is given nothing more.
    pub draining: bool,
    /// How many tasks it has.
    pub running: u32,
    /// How many it may have.
    pub capacity: u32,
    /// The machine's load for each processor, in hundredths; nothing where it is not told.
    pub load: Option<u32>,
    /// Room on its disk, in bytes.
    pub disk_free: Option<u64>,
    /// When it was last heard of.
    pub seen_at: Option<Timestamp>,
    /// Its version.
    pub version: String,
    /// What it has.
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
    /// Around it.
    pub layout: &'a Layout,
    /// The time.
    pub now: Timestamp,
    /// Issues by status.
    pub columns: &'a [Column],
    /// Jobs that wait, those first that go first.
    pub waiting: &'a [Waiting],
    /// How many wait.
    pub queued: u64,
    /// Who works.
    pub nodes: &'a [NodeCard],
    /// Whether whoever looks may drain nodes.
    pub may_drain: bool,
}
