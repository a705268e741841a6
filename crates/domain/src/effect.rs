//! Effects on forges and trackers that state changes require.

use serde::{Deserialize, Serialize};

use crate::CommitSha;
use crate::notification::NotificationEvent;
use crate::trigger::Language;

/// An effect on a forge or tracker, written in the same transaction as the state change that caused it and delivered
/// later, at least once.
///
/// An effect has a kind and no text: the text is rendered from the job's state at delivery, so that a late edit shows
/// the latest state and a repeated one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Post the one progress comment on the issue.
    Acknowledge,
    /// Update the progress comment and the pull request's panel to the current state.
    RefreshProgress,
    /// Open the draft pull request for the pushed branch.
    OpenPullRequest,
    /// Mark the pull request ready for review.
    MarkReady,
    /// Post the one comment about the job's result.
    PostResult,
    /// Move the tracker's issue to the status that is configured for a milestone.
    Transition {
        /// The milestone that was reached.
        to: Milestone,
    },
    /// Link the tracker's issue to the pull request.
    LinkPullRequest,
    /// Read what the forge's CI says about a commit, again and again until it has ended. It is the only effect that other
    /// effects of the issue do not wait for.
    ReadCi {
        /// The pushed commit.
        commit: CommitSha,
        /// The commit or branch before the change.
        base: String,
    },
    /// Notify the subscribed channels.
    Notify {
        /// The event.
        event: NotificationEvent,
    },
    /// Reply to a command in a comment.
    Reply {
        /// The id of the comment or delivery, so that each is answered once.
        to: String,
        /// The content of the reply.
        reply: Reply,
        /// The pull request on which the person asked; otherwise the reply is on the issue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pull_request: Option<u64>,
    },
}

/// The milestones of a job that can change the status of a tracker's issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// It was started.
    Started,
    /// Its pull request waits for review.
    InReview,
    /// Its pull request was merged.
    Merged,
}

impl Milestone {
    /// All milestones.
    pub const ALL: [Self; 3] = [Self::Started, Self::InReview, Self::Merged];

    /// Returns the name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::InReview => "in_review",
            Self::Merged => "merged",
        }
    }
}

/// Why a request starts no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannotStart {
    /// A job of the issue is queued or running, and the request adds no instructions.
    Running,
    /// The pull request was merged.
    Merged,
    /// The state does not allow it for another reason.
    State,
}

/// What a command would do, if there were a job for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NothingTo {
    /// No plan waits for approval.
    Approve,
    /// No job is running.
    Cancel,
    /// There is no open pull request.
    Rebase,
    /// No job has ended.
    Retry,
    /// The last job succeeded.
    RetrySuccess,
}

/// A reply to a comment that starts no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The list of commands, after `help` or an unknown command.
    Help {
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
    /// The status of the latest job.
    Status {
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
    /// The issue has too many requests; posted at most once an hour.
    TooMany {
        /// How many requests an hour are accepted.
        per_hour: u32,
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
    /// The request starts no job, although its actor may start one.
    CannotStart {
        /// Why.
        reason: CannotStart,
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
    /// The person may not make the request.
    NotPermitted {
        /// The person.
        login: String,
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
    /// The command has nothing to act on.
    NothingTo {
        /// What the command would do.
        verb: NothingTo,
        /// The language of the request.
        #[serde(default)]
        language: Language,
    },
}

/// The kinds of effects, for markers, logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EffectKind {
    /// [`Effect::Acknowledge`]
    Acknowledge,
    /// [`Effect::RefreshProgress`]
    RefreshProgress,
    /// [`Effect::OpenPullRequest`]
    OpenPullRequest,
    /// [`Effect::MarkReady`]
    MarkReady,
    /// [`Effect::PostResult`]
    PostResult,
    /// [`Effect::Transition`]
    Transition,
    /// [`Effect::LinkPullRequest`]
    LinkPullRequest,
    /// [`Effect::ReadCi`]
    ReadCi,
    /// [`Effect::Notify`]
    Notify,
    /// [`Effect::Reply`]
    Reply,
}

impl Effect {
    /// Returns the kind of the effect.
    pub const fn kind(&self) -> EffectKind {
        match self {
            Self::Acknowledge => EffectKind::Acknowledge,
            Self::RefreshProgress => EffectKind::RefreshProgress,
            Self::OpenPullRequest => EffectKind::OpenPullRequest,
            Self::MarkReady => EffectKind::MarkReady,
            Self::PostResult => EffectKind::PostResult,
            Self::Transition { .. } => EffectKind::Transition,
            Self::LinkPullRequest => EffectKind::LinkPullRequest,
            Self::ReadCi { .. } => EffectKind::ReadCi,
            Self::Notify { .. } => EffectKind::Notify,
            Self::Reply { .. } => EffectKind::Reply,
        }
    }
}

impl EffectKind {
    /// All kinds, for counters that begin at zero.
    pub const ALL: [Self; 10] = [
        Self::Acknowledge,
        Self::RefreshProgress,
        Self::OpenPullRequest,
        Self::MarkReady,
        Self::PostResult,
        Self::Transition,
        Self::LinkPullRequest,
        Self::ReadCi,
        Self::Notify,
        Self::Reply,
    ];

    /// Returns whether effects of one issue of this kind are delivered in their order, and one waits for those before it.
    pub const fn is_ordered(self) -> bool {
        !matches!(self, Self::ReadCi)
    }

    /// Returns the name in logs and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::RefreshProgress => "refresh_progress",
            Self::OpenPullRequest => "open_pull_request",
            Self::MarkReady => "mark_ready",
            Self::PostResult => "post_result",
            Self::Transition => "transition",
            Self::LinkPullRequest => "link_pull_request",
            Self::ReadCi => "read_ci",
            Self::Notify => "notify",
            Self::Reply => "reply",
        }
    }
}
