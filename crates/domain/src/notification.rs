//! Notification events and channels.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, IssueId, JobId, RepoName, UserId};

/// An event that users can be notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationEvent {
    /// A job succeeded.
    JobSucceeded,
    /// A job failed.
    JobFailed,
    /// A user cancelled a job.
    JobCancelled,
    /// The plan of a job waits for approval.
    PlanReady,
    /// A pull request was opened.
    PullRequestOpened,
    /// A pull request of a job was merged.
    PullRequestMerged,
}

impl NotificationEvent {
    /// All values.
    pub const ALL: [Self; 6] = [
        Self::JobSucceeded,
        Self::JobFailed,
        Self::JobCancelled,
        Self::PlanReady,
        Self::PullRequestOpened,
        Self::PullRequestMerged,
    ];

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobSucceeded => "job_succeeded",
            Self::JobFailed => "job_failed",
            Self::JobCancelled => "job_cancelled",
            Self::PlanReady => "plan_ready",
            Self::PullRequestOpened => "pull_request_opened",
            Self::PullRequestMerged => "pull_request_merged",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// Returns the event as text for users.
    pub const fn words(self) -> &'static str {
        match self {
            Self::JobSucceeded => "the job succeeded",
            Self::JobFailed => "the job failed",
            Self::JobCancelled => "the job was cancelled",
            Self::PlanReady => "the plan waits for approval",
            Self::PullRequestOpened => "a pull request was opened",
            Self::PullRequestMerged => "the pull request was merged",
        }
    }
}

/// The kind of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A signed webhook (Standard Webhooks).
    Webhook,
    /// An e-mail.
    Email,
    /// An incoming webhook of Slack or of a compatible service.
    Slack,
    /// A custom bot of Feishu (Lark).
    Feishu,
    /// A custom robot of `DingTalk`.
    Dingtalk,
}

impl ChannelKind {
    /// All values.
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Email, Self::Slack, Self::Feishu, Self::Dingtalk];

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Slack => "slack",
            Self::Feishu => "feishu",
            Self::Dingtalk => "dingtalk",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A notification channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The channel's id.
    pub id: ChannelId,
    /// The name that its owner gave it.
    pub name: String,
    /// The kind.
    pub kind: ChannelKind,
    /// The URL or the e-mail address.
    pub target: String,
    /// The subscribed events.
    pub events: BTreeSet<NotificationEvent>,
    /// The only repository whose events are sent.
    pub repository: Option<RepoName>,
    /// The owner, who gets events of their own issues only; `None`: events of all issues, managed by administrators.
    pub owner: Option<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Channel {
    /// Returns whether a notice is sent to this channel.
    pub fn wants(&self, notice: &Notice) -> bool {
        let here =
            self.repository.as_ref().is_none_or(|repo| repo.to_string().eq_ignore_ascii_case(&notice.repository));
        self.events.contains(&notice.event) && here && (self.owner.is_none() || self.owner == notice.owner)
    }
}

/// The content of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The event.
    pub event: NotificationEvent,
    /// The time of the event.
    pub at: Timestamp,
    /// The repository, `owner/name`.
    pub repository: String,
    /// The id of the issue.
    pub issue_id: IssueId,
    /// The issue's number or key for display.
    pub issue_number: u64,
    /// The issue's title.
    pub issue_title: String,
    /// The URL of the issue's page.
    pub issue_url: String,
    /// The user who added the issue here.
    pub owner: Option<UserId>,
    /// The id of the job.
    pub job_id: JobId,
    /// The verdict on the job's result.
    pub verdict: Option<String>,
    /// The job's error.
    pub reason: Option<String>,
    /// The URL of the pull request.
    pub pull_request_url: Option<String>,
}

impl Notice {
    /// Returns the notice as one line.
    pub fn headline(&self) -> String {
        format!("{}#{} {}: {}", self.repository, self.issue_number, self.issue_title, self.event.words())
    }

    /// Returns the notice as a few lines.
    pub fn text(&self) -> String {
        let verdict = self.verdict.as_ref().map(|verdict| format!("Result: {}", verdict.replace('_', " ")));
        let reason = self.reason.as_ref().map(|reason| format!("Reason: {reason}"));
        let pull_request = self.pull_request_url.as_ref().map(|url| format!("Pull request: {url}"));
        let issue = Some(format!("Issue: {}", self.issue_url)).filter(|_| !self.issue_url.is_empty());
        let lines = [Some(self.headline()), verdict, reason, pull_request, issue];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
