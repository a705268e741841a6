//! What people want to be told of, and where.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, IssueId, JobId, RepoName, UserId};

/// Something that people want to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationEvent {
    /// A job ended and did what it could.
    JobSucceeded,
    /// A job ended and could not.
    JobFailed,
    /// A person stopped a job.
    JobCancelled,
    /// A job has a plan and waits for somebody to approve it.
    PlanReady,
    /// A pull request was opened.
    PullRequestOpened,
    /// A pull request of ours was merged.
    PullRequestMerged,
}

impl NotificationEvent {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::JobSucceeded,
        Self::JobFailed,
        Self::JobCancelled,
        Self::PlanReady,
        Self::PullRequestOpened,
        Self::PullRequestMerged,
    ];

    /// The name in JSON and in the store.
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

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// In words, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::JobSucceeded => "the job is done",
            Self::JobFailed => "the job failed",
            Self::JobCancelled => "the job was stopped",
            Self::PlanReady => "the plan waits for approval",
            Self::PullRequestOpened => "a pull request was opened",
            Self::PullRequestMerged => "the pull request was merged",
        }
    }
}

/// How a channel is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A signed webhook (Standard Webhooks).
    Webhook,
    /// An e-mail.
    Email,
    /// An incoming webhook of Slack, or of whatever takes its form.
    Slack,
    /// A bot of Feishu (Lark).
    Feishu,
    /// A robot of `DingTalk`.
    Dingtalk,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Email, Self::Slack, Self::Feishu, Self::Dingtalk];

    /// The name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Slack => "slack",
            Self::Feishu => "feishu",
            Self::Dingtalk => "dingtalk",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Ours.
    pub id: ChannelId,
    /// What its person calls it.
    pub name: String,
    /// How it is reached.
    pub kind: ChannelKind,
    /// An address: of a page or of a mailbox.
    pub target: String,
    /// What is told there.
    pub events: BTreeSet<NotificationEvent>,
    /// Of this repository only.
    pub repository: Option<RepoName>,
    /// Of the issues that this person added only, and theirs to change; `None`: of all, and an administrator's.
    pub owner: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Channel {
    /// Whether this is told there.
    pub fn wants(&self, notice: &Notice) -> bool {
        let here =
            self.repository.as_ref().is_none_or(|repo| repo.to_string().eq_ignore_ascii_case(&notice.repository));
        self.events.contains(&notice.event) && here && (self.owner.is_none() || self.owner == notice.owner)
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub event: NotificationEvent,
    /// When.
    pub at: Timestamp,
    /// Where, `owner/name`.
    pub repository: String,
    /// The issue here.
    pub issue_id: IssueId,
    /// Its number, as people know it.
    pub issue_number: u64,
    /// Its title.
    pub issue_title: String,
    /// Its page.
    pub issue_url: String,
    /// The person who added it here.
    pub owner: Option<UserId>,
    /// The job.
    pub job_id: JobId,
    /// What may be said of its result.
    pub verdict: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The page of the pull request.
    pub pull_request_url: Option<String>,
}

impl Notice {
    /// One line.
    pub fn headline(&self) -> String {
        format!("{}#{} {}: {}", self.repository, self.issue_number, self.issue_title, self.event.words())
    }

    /// A few lines.
    pub fn text(&self) -> String {
        let verdict = self.verdict.as_ref().map(|verdict| format!("Result: {}", verdict.replace('_', " ")));
        let reason = self.reason.as_ref().map(|reason| format!("Reason: {reason}"));
        let pull_request = self.pull_request_url.as_ref().map(|url| format!("Pull request: {url}"));
        let issue = Some(format!("Issue: {}", self.issue_url)).filter(|_| !self.issue_url.is_empty());
        let lines = [Some(self.headline()), verdict, reason, pull_request, issue];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
