//! A thing to fix, and its five states (`docs/requirements.md#management`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::InvalidId;
use crate::{IssueId, IssueNumber, PlatformId, Refused, RepoName, UserId};

/// Where an issue stands (`docs/requirements.md#r105`).
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
    /// [`Refused`] for every pair that `docs/pipeline.md#the-state-machines` does not name.
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
            (from, event) => Err(Refused::State { subject: "an issue", from: from.as_str(), event: event.as_str() }),
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

/// An issue of a tracker that is no forge, such as Jira: its words are there, its code is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrackerRef {
    /// Which tracker.
    pub platform: PlatformId,
    /// Which site of it, by host.
    pub site: String,
    /// The tracker's own id of the issue; stays when the issue moves to another project.
    pub id: String,
    /// What people call it, such as `PROJ-12`.
    pub key: String,
}

impl TrackerRef {
    /// The longest id or key.
    pub const MAX_LEN: usize = 100;

    /// Names an issue of a tracker.
    ///
    /// # Errors
    /// [`InvalidId`] when the site is no host's name, the id no number, or the key not of the form `PROJ-12`: all three
    /// become parts of addresses and of branch names.
    pub fn new(platform: PlatformId, site: &str, id: &str, key: &str) -> Result<Self, InvalidId> {
        let host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if site.is_empty() || site.len() > 253 || !site.bytes().all(host) || site.starts_with(['.', '-']) {
            return Err(InvalidId::new(site, "a site (a host's name)"));
        }
        if id.is_empty() || id.len() > Self::MAX_LEN || !id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidId::new(id, "an issue's id (a number)"));
        }
        if Self::project_of(key).is_none() {
            return Err(InvalidId::new(key, "an issue's key (PROJ-12)"));
        }
        Ok(Self { platform, site: site.to_owned(), id: id.to_owned(), key: key.to_owned() })
    }

    /// The project of a key of the form `PROJ-12`.
    fn project_of(key: &str) -> Option<&str> {
        let (project, number) = key.rsplit_once('-')?;
        let digits = (1..=15).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let fits = key.len() <= Self::MAX_LEN && project.starts_with(|c: char| c.is_ascii_uppercase());
        (digits && fits && project.bytes().all(name)).then_some(project)
    }

    /// The project that the issue is in.
    pub fn project(&self) -> &str {
        Self::project_of(&self.key).unwrap_or_default()
    }

    /// The issue's page.
    pub fn url(&self) -> String {
        format!("https://{}/browse/{}", self.site, self.key)
    }

    /// The number of the key, for people; and one that no forge gives, by which the issue is told from those of the
    /// repository itself. (Below 2^53, so that programs that know only floating-point numbers read it.)
    fn number(&self) -> IssueNumber {
        const NO_FORGE: u64 = 1 << 52;
        let place = format!("{} {} {}", self.platform, self.site, self.id);
        // FNV-1a: the same on every machine and in every version, which the hash of the standard library is not.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = place.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        let display = self.key.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or_default();
        IssueNumber { api: NO_FORGE | (hash & (NO_FORGE - 1)), display }
    }
}

/// How the outside knows an issue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IssueRef {
    /// The forge with its code.
    pub platform: PlatformId,
    /// In which repository.
    pub repo: RepoName,
    /// Under which number.
    pub number: IssueNumber,
    /// Where people talk about it, when that is not the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracker: Option<TrackerRef>,
}

impl IssueRef {
    /// An issue of a forge.
    pub const fn on_forge(platform: PlatformId, repo: RepoName, number: IssueNumber) -> Self {
        Self { platform, repo, number, tracker: None }
    }

    /// An issue of a tracker whose code is in a repository of a forge.
    pub fn tracked(platform: PlatformId, repo: RepoName, tracker: TrackerRef) -> Self {
        Self { platform, repo, number: tracker.number(), tracker: Some(tracker) }
    }

    /// The number that its platform knows it by in calls: Jira's own id for an issue of Jira.
    pub fn called_number(&self) -> u64 {
        self.tracker.as_ref().map_or(self.number.api, |tracker| tracker.id.parse().unwrap_or_default())
    }

    /// The number for programs that show it: that of the key for an issue of a tracker.
    pub fn shown_number(&self) -> u64 {
        if self.tracker.is_some() { self.number.display } else { self.number.api }
    }

    /// The key, where there is one.
    pub fn key(&self) -> Option<&str> {
        self.tracker.as_ref().map(|tracker| tracker.key.as_str())
    }

    /// What people call it: `#12` on a forge, `PROJ-12` in a tracker.
    pub fn name(&self) -> String {
        self.tracker.as_ref().map_or_else(|| format!("#{}", self.number), |tracker| tracker.key.clone())
    }
}

impl std::fmt::Display for IssueRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.tracker {
            Some(tracker) => write!(f, "{} ({})", tracker.key, self.repo),
            None => write!(f, "{}#{}", self.repo, self.number),
        }
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
    /// The names of its labels, as they were last told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const JIRA: PlatformId = PlatformId::from_static("jira");

    #[test]
    fn an_issue_of_a_tracker_has_a_key_and_a_number_that_no_forge_gives() {
        let tracker = TrackerRef::new(JIRA, "acme.atlassian.net", "10042", "PROJ_A-12").unwrap();
        assert_eq!(
            (tracker.project(), tracker.url().as_str()),
            ("PROJ_A", "https://acme.atlassian.net/browse/PROJ_A-12")
        );
        let source =
            IssueRef::tracked(PlatformId::from_static("github"), "acme/demo".parse().unwrap(), tracker.clone());
        assert_eq!((source.name().as_str(), source.number.display), ("PROJ_A-12", 12));
        assert_eq!(source.to_string(), "PROJ_A-12 (acme/demo)");
        assert!(source.number.api >= 1 << 52 && source.number.api < 1 << 53);
        let moved = TrackerRef { key: "OTHER-1".into(), ..tracker.clone() };
        let source = |tracker| IssueRef::tracked(JIRA, "acme/demo".parse().unwrap(), tracker).number.api;
        assert_eq!(source(moved), source(tracker.clone()), "an issue that moves stays the same one");
        assert_ne!(source(TrackerRef { site: "other.atlassian.net".into(), ..tracker.clone() }), source(tracker));
    }

    #[test]
    fn a_site_an_id_and_a_key_are_what_they_say() {
        let new = |site, id, key| TrackerRef::new(JIRA, site, id, key);
        assert!(new("acme.atlassian.net", "1", "A-1").is_ok());
        for site in ["", "a/b", "a b", "-a", ".a", "A.net", "a:80", "a@b"] {
            assert!(new(site, "1", "A-1").is_err(), "{site}");
        }
        for id in ["", "1a", "../1", "-1"] {
            assert!(new("a.net", id, "A-1").is_err(), "{id}");
        }
        for key in ["", "A", "A-", "-1", "a-1", "A-1a", "1-1", "A/B-1", "A..-1", "A-1234567890123456"] {
            assert!(new("a.net", "1", key).is_err(), "{key}");
        }
    }
}
