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

    /// Returns the name in JSON, in the store and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locate => "locate",
            Self::Propose => "propose",
            Self::Fix => "fix",
            Self::Verify => "verify",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl std::fmt::Display for StageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Not started.
    #[default]
    Pending,
    /// A worker is running it.
    Running,
    /// It finished with a report.
    Succeeded,
    /// It finished without one.
    Failed,
    /// It was not needed, or could not run (no model is configured).
    Skipped,
}

/// The events of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageEvent {
    /// A worker starts it, possibly again after a crash in the middle of the stage.
    Start,
    /// It succeeded with a report.
    Succeed,
    /// It failed.
    Fail,
    /// It is skipped.
    Skip,
    /// Its result failed the verification, or the job is restarted here.
    Reset,
}

impl StageStatus {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Skipped];

    /// Returns the next state.
    ///
    /// # Errors
    /// [`Refused`] for every other pair: a finished stage is never run again without a reset.
    pub const fn on(self, event: StageEvent) -> Result<Self, Refused> {
        use StageEvent as E;
        match (self, event) {
            // Running on Start: the previous worker died in the middle of the stage.
            (Self::Pending | Self::Running, E::Start) => Ok(Self::Running),
            (Self::Running, E::Succeed) => Ok(Self::Succeeded),
            (Self::Running, E::Fail) => Ok(Self::Failed),
            (Self::Pending | Self::Running, E::Skip) => Ok(Self::Skipped),
            (_, E::Reset) => Ok(Self::Pending),
            (from, event) => Err(Refused::State { subject: "a stage", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Returns whether the pipeline continues after this stage.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }
}

impl StageEvent {
    /// All events.
    pub const ALL: [Self; 5] = [Self::Start, Self::Succeed, Self::Fail, Self::Skip, Self::Reset];

    /// Returns the event as a verb phrase, for messages.
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
    /// The stage.
    pub kind: StageKind,
    /// The status.
    pub status: StageStatus,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The report, if it succeeded.
    pub report: Option<StageReport>,
    /// The text for users, Markdown.
    pub comment: Option<String>,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// The model usage of all attempts of this stage.
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
            TaggedRecord::Verify(fields) => {
                fields.into_record(StageKind::Verify, |report| StageReport::Verify(Box::new(report)))
            }
        }
    }
}

impl StageRecord {
    /// Returns whether it was never started. A stage that was reset keeps its start.
    pub fn is_untouched(&self) -> bool {
        *self == Self::pending(self.kind)
    }

    /// Returns the record of a stage that has not started.
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

    /// Returns the seconds from start to end; `None` while it has not ended.
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
                // A skipped stage starts and ends at once, so that every stage with an event has a start.
                self.started_at.get_or_insert(now);
                self.ended_at = Some(now);
            }
        }
        Ok(())
    }
}
