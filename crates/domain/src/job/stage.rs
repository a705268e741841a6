//! The four stages, their order and their states (`docs/requirements.md#r233`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{FixReport, LocateReport, ProposeReport, StageReport, VerifyReport};
use crate::{Refused, Usage};

/// A step of a job. The order of the variants is the order of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Find the files that the issue is about.
    Locate,
    /// Plan the change.
    Propose,
    /// Make the change.
    Fix,
    /// Build and test before and after.
    Verify,
}

impl StageKind {
    /// All stages, in order.
    pub const ALL: [Self; 4] = [Self::Locate, Self::Propose, Self::Fix, Self::Verify];

    /// The name in JSON, in the store and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locate => "locate",
            Self::Propose => "propose",
            Self::Fix => "fix",
            Self::Verify => "verify",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl std::fmt::Display for StageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a stage stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Not begun.
    #[default]
    Pending,
    /// A worker is at it.
    Running,
    /// It ended with a report.
    Succeeded,
    /// It ended without.
    Failed,
    /// It was not needed, or could not be asked for (no model configured).
    Skipped,
}

/// What can happen to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageEvent {
    /// A worker begins; again after a crash in the middle of the stage.
    Start,
    /// It has a report.
    Succeed,
    /// It has none.
    Fail,
    /// It is passed over.
    Skip,
    /// Its result was not good enough, or the job is restarted here.
    Reset,
}

impl StageStatus {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Skipped];

    /// The next state.
    ///
    /// # Errors
    /// [`Refused`] for every other pair: a finished stage is never run again without a reset.
    pub const fn on(self, event: StageEvent) -> Result<Self, Refused> {
        use StageEvent as E;
        match (self, event) {
            // Running on Start: the worker before this one died in the middle of the stage.
            (Self::Pending | Self::Running, E::Start) => Ok(Self::Running),
            (Self::Running, E::Succeed) => Ok(Self::Succeeded),
            (Self::Running, E::Fail) => Ok(Self::Failed),
            (Self::Pending | Self::Running, E::Skip) => Ok(Self::Skipped),
            (_, E::Reset) => Ok(Self::Pending),
            (from, event) => Err(Refused::State { subject: "a stage", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// The status as it stands in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the pipeline goes on past this stage.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }
}

impl StageEvent {
    /// All events.
    pub const ALL: [Self; 5] = [Self::Start, Self::Succeed, Self::Fail, Self::Skip, Self::Reset];

    /// The event as a verb phrase, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Skip => "be skipped",
            Self::Reset => "be reset",
        }
    }
}

/// One stage of one job: its checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "TaggedRecord")]
pub struct StageRecord {
    /// Which stage.
    pub kind: StageKind,
    /// Where it stands.
    pub status: StageStatus,
    /// When its first run began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came out, when it succeeded.
    pub report: Option<StageReport>,
    /// What people should read of it, Markdown.
    pub comment: Option<String>,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// What the model cost here, all rounds together.
    pub usage: Usage,
}

/// A record as JSON holds it: `kind` says of which stage `report` is.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum TaggedRecord {
    Locate(RecordFields<LocateReport>),
    Propose(RecordFields<ProposeReport>),
    Fix(RecordFields<FixReport>),
    Verify(RecordFields<VerifyReport>),
}

#[derive(Deserialize)]
struct RecordFields<R> {
    status: StageStatus,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    report: Option<R>,
    comment: Option<String>,
    reason: Option<String>,
    usage: Usage,
}

impl<R> RecordFields<R> {
    fn into_record(self, kind: StageKind, wrap: fn(R) -> StageReport) -> StageRecord {
        let Self { status, started_at, ended_at, report, comment, reason, usage } = self;
        StageRecord { kind, status, started_at, ended_at, report: report.map(wrap), comment, reason, usage }
    }
}

impl From<TaggedRecord> for StageRecord {
    fn from(record: TaggedRecord) -> Self {
        match record {
            TaggedRecord::Locate(fields) => fields.into_record(StageKind::Locate, StageReport::Locate),
            TaggedRecord::Propose(fields) => fields.into_record(StageKind::Propose, StageReport::Propose),
            TaggedRecord::Fix(fields) => fields.into_record(StageKind::Fix, StageReport::Fix),
            TaggedRecord::Verify(fields) => fields.into_record(StageKind::Verify, StageReport::Verify),
        }
    }
}

impl StageRecord {
    /// Whether nothing has ever happened to it. A stage that was reset had a start.
    pub fn is_untouched(&self) -> bool {
        *self == Self::pending(self.kind)
    }

    /// A stage that has not begun.
    pub const fn pending(kind: StageKind) -> Self {
        Self {
            kind,
            status: StageStatus::Pending,
            started_at: None,
            ended_at: None,
            report: None,
            comment: None,
            reason: None,
            usage: Usage { calls: 0, prompt_tokens: 0, completion_tokens: 0, cost_micros: 0 },
        }
    }

    /// Seconds from start to end; `None` while it has not ended.
    pub fn seconds(&self) -> Option<f64> {
        let (from, to) = (self.started_at?, self.ended_at?);
        Some(to.duration_since(from).as_secs_f64().max(0.0))
    }

    pub(super) fn on(&mut self, event: StageEvent, now: Timestamp) -> Result<(), Refused> {
        self.status = self.status.on(event)?;
        match event {
            StageEvent::Start => {
                self.started_at.get_or_insert(now);
                self.ended_at = None;
            }
            StageEvent::Reset => self.ended_at = None,
            StageEvent::Succeed | StageEvent::Fail | StageEvent::Skip => {
                // One that is skipped begins and ends at once: whatever has happened to a stage, it has a start.
                self.started_at.get_or_insert(now);
                self.ended_at = Some(now);
            }
        }
        Ok(())
    }
}
