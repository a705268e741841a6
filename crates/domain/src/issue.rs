//! A thing to fix, and its five states (`seeds/001`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IssueId, IssueNumber, PlatformId, Refused, RepoName, UserId};

/// Where an issue stands (`seeds/001`, "Issue模型").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    /// 待处理: nobody has started it.
    Pending,
    /// 处理中: a job works on it.
    Processing,
    /// 待合入: a pull request waits for people.
    PendingMerge,
    /// 已合入: the pull request was merged.
    Merged,
    /// 终止: the job failed or was cancelled, or the pull request was closed unmerged.
    Terminated,
}

/// What can happen to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueEvent {
    /// A first job was started.
    Start,
    /// A job was started again after a failure.
    Restart,
    /// The job ended and left something to review.
    TaskSucceeded,
    /// The job ended without.
    TaskFailed,
    /// A person stopped the job.
    Cancel,
    /// The pull request was merged.
    Merge,
    /// The pull request was closed unmerged.
    CloseUnmerged,
    /// A person asked for more on the open pull request.
    FollowUp,
}

impl IssueStatus {
    /// All states, in the order of an issue's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::PendingMerge, Self::Merged, Self::Terminated];

    /// The next state.
    ///
    /// # Errors
    /// [`Refused`] for every pair that `spec/product` does not name.
    pub const fn on(self, event: IssueEvent) -> Result<Self, Refused> {
        use IssueEvent as E;
        match (self, event) {
            (Self::Pending, E::Start)
            | (Self::Terminated, E::Restart | E::Start)
            | (Self::PendingMerge, E::FollowUp | E::Start) => Ok(Self::Processing),
            (Self::Processing, E::TaskSucceeded) => Ok(Self::PendingMerge),
            (Self::Processing, E::TaskFailed | E::Cancel) | (Self::PendingMerge, E::CloseUnmerged) => {
                Ok(Self::Terminated)
            }
            (Self::PendingMerge, E::Merge) => Ok(Self::Merged),
            (from, event) => Err(Refused { subject: "an issue", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// The status as it stands in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::PendingMerge => "pending_merge",
            Self::Merged => "merged",
            Self::Terminated => "terminated",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl IssueEvent {
    /// All events.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Restart,
        Self::TaskSucceeded,
        Self::TaskFailed,
        Self::Cancel,
        Self::Merge,
        Self::CloseUnmerged,
        Self::FollowUp,
    ];

    /// The event as a verb phrase, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Restart => "restart",
            Self::TaskSucceeded => "take a task's success",
            Self::TaskFailed => "take a task's failure",
            Self::Cancel => "be cancelled",
            Self::Merge => "be merged",
            Self::CloseUnmerged => "lose its pull request",
            Self::FollowUp => "take a follow-up",
        }
    }
}

/// How the outside knows an issue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IssueRef {
    /// Where it lives.
    pub platform: PlatformId,
    /// In which repository.
    pub repo: RepoName,
    /// Under which number.
    pub number: IssueNumber,
}

impl std::fmt::Display for IssueRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

/// An issue as we keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Ours.
    pub id: IssueId,
    /// The outside's.
    pub source: IssueRef,
    /// One line.
    pub title: String,
    /// Markdown, as the reporter wrote it.
    pub body: String,
    /// Who reported it; empty when the platform does not say.
    pub author: String,
    /// The person who added it here; none for one that came by a webhook.
    #[serde(default)]
    pub owner: Option<UserId>,
    /// Where it stands.
    pub status: IssueStatus,
    /// When we first saw it.
    pub created_at: Timestamp,
    /// When we last changed it.
    pub updated_at: Timestamp,
}

impl Issue {
    /// The issue after `event`.
    ///
    /// # Errors
    /// [`Refused`] as [`IssueStatus::on`] says.
    pub fn advance(mut self, event: IssueEvent, now: Timestamp) -> Result<Self, Refused> {
        self.status = self.status.on(event)?;
        self.updated_at = now;
        Ok(self)
    }
}
