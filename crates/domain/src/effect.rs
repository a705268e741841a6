//! What must happen outside because a state changed.

use serde::{Deserialize, Serialize};

use crate::notification::NotificationEvent;

/// An outside effect, written by the same commit as the state that caused it and delivered later, at least once.
///
/// An effect names *what* is due and carries no text: it is rendered from the job as it stands when it is delivered, so
/// a late edit shows the newest state and a repeated one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Post the one progress comment on the issue.
    Acknowledge,
    /// Edit the progress comment and the pull request's panel to the present state.
    RefreshProgress,
    /// Open the draft pull request for the pushed branch.
    OpenPullRequest,
    /// Mark the pull request ready for review.
    MarkReady,
    /// Post the one comment that says how the job ended.
    PostResult,
    /// Move the tracker's issue to the state that is configured for this.
    Transition {
        /// What was reached.
        to: Milestone,
    },
    /// Link the tracker's issue to the pull request.
    LinkPullRequest,
    /// Tell those who want to be told.
    Notify {
        /// Of what.
        event: NotificationEvent,
    },
    /// Answer a question that was asked in a comment.
    Reply {
        /// Which comment or delivery asked, so that one question is answered once.
        to: String,
        /// The answer.
        reply: Reply,
    },
}

/// What a job reaches, as far as a tracker shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// It was started.
    Started,
    /// Its pull request waits for people.
    InReview,
    /// Its pull request was merged.
    Merged,
}

impl Milestone {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Started, Self::InReview, Self::Merged];

    /// The name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::InReview => "in_review",
            Self::Merged => "merged",
        }
    }
}

/// An answer to a comment that starts no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What can be asked, after `help` or an unknown command.
    Help,
    /// Where the latest job stands.
    Status,
    /// Too many requests came on this issue; said once, then silence.
    TooMany {
        /// How many an hour are taken.
        per_hour: u32,
    },
    /// Nothing runs that could be cancelled, or nothing ended that could be retried.
    NothingTo {
        /// The verb of the command.
        verb: String,
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
    /// [`Effect::Notify`]
    Notify,
    /// [`Effect::Reply`]
    Reply,
}

impl Effect {
    /// Which kind it is.
    pub const fn kind(&self) -> EffectKind {
        match self {
            Self::Acknowledge => EffectKind::Acknowledge,
            Self::RefreshProgress => EffectKind::RefreshProgress,
            Self::OpenPullRequest => EffectKind::OpenPullRequest,
            Self::MarkReady => EffectKind::MarkReady,
            Self::PostResult => EffectKind::PostResult,
            Self::Transition { .. } => EffectKind::Transition,
            Self::LinkPullRequest => EffectKind::LinkPullRequest,
            Self::Notify { .. } => EffectKind::Notify,
            Self::Reply { .. } => EffectKind::Reply,
        }
    }
}

impl EffectKind {
    /// The name in logs and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::RefreshProgress => "refresh_progress",
            Self::OpenPullRequest => "open_pull_request",
            Self::MarkReady => "mark_ready",
            Self::PostResult => "post_result",
            Self::Transition => "transition",
            Self::LinkPullRequest => "link_pull_request",
            Self::Notify => "notify",
            Self::Reply => "reply",
        }
    }
}
