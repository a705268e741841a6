//! Issues and their five states (`docs/requirements.md#management`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::InvalidId;
use crate::trigger::{Language, language_of};
use crate::{BranchName, IssueId, IssueNumber, PlatformId, Refused, RepoName, UserId};

/// The status of an issue (`docs/requirements.md#r105`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    /// 待处理: no job was started.
    Pending,
    /// 处理中: a job is running or queued.
    Processing,
    /// 待合入: a pull request waits for review.
    PendingMerge,
    /// 已合入: the pull request was merged.
    Merged,
    /// 终止: the job failed or was cancelled, or the pull request was closed unmerged.
    Terminated,
}

/// The order of a list of issues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IssueOrder {
    /// The newest on this server first.
    #[default]
    Newest,
    /// The oldest on this server first.
    Oldest,
    /// Those that changed last first.
    Updated,
}

impl IssueOrder {
    /// All orders, the default first.
    pub const ALL: [Self; 3] = [Self::Newest, Self::Oldest, Self::Updated];

    /// Returns the name in queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Updated => "updated",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == name)
    }
}

/// What can happen to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueEvent {
    /// A first job was started.
    Start,
    /// A job was restarted after a failure.
    Restart,
    /// The job ended with a result to review.
    TaskSucceeded,
    /// The job ended without a result.
    TaskFailed,
    /// A user cancelled the job.
    Cancel,
    /// The pull request was merged.
    Merge,
    /// The pull request was closed unmerged.
    CloseUnmerged,
    /// A user requested more changes to the open pull request.
    FollowUp,
    /// A follow-up ended without a result; the pull request of the job before it stands.
    FollowUpEnded,
    /// The issue was opened again on its platform.
    Reopen,
}

impl IssueStatus {
    /// All states, in the order of an issue's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::PendingMerge, Self::Merged, Self::Terminated];

    /// Returns the next state.
    ///
    /// # Errors
    /// [`Refused`] for every pair that `docs/pipeline.md#the-state-machines` does not name.
    pub const fn on(self, event: IssueEvent) -> Result<Self, Refused> {
        use IssueEvent as E;
        match (self, event) {
            (Self::Pending, E::Start)
            | (Self::Terminated, E::Restart | E::Start)
            | (Self::PendingMerge, E::FollowUp | E::Start) => Ok(Self::Processing),
            (Self::Processing, E::TaskSucceeded | E::FollowUpEnded) => Ok(Self::PendingMerge),
            (Self::Processing, E::TaskFailed | E::Cancel) | (Self::PendingMerge, E::CloseUnmerged) => {
                Ok(Self::Terminated)
            }
            // People merge what they find good, whatever this server is doing or has given up.
            (Self::Processing | Self::PendingMerge | Self::Terminated, E::Merge) => Ok(Self::Merged),
            (Self::Merged | Self::Terminated, E::Reopen) => Ok(Self::Pending),
            (from, event) => Err(Refused::State { subject: "an issue", from: from.as_str(), event: event.as_str() }),
        }
    }

    /// Returns the name in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::PendingMerge => "pending_merge",
            Self::Merged => "merged",
            Self::Terminated => "terminated",
        }
    }

    /// Parses the result of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl IssueEvent {
    /// All events.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Restart,
        Self::TaskSucceeded,
        Self::TaskFailed,
        Self::Cancel,
        Self::Merge,
        Self::CloseUnmerged,
        Self::FollowUp,
        Self::FollowUpEnded,
        Self::Reopen,
    ];

    /// Returns the event as a verb phrase, for messages.
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
            Self::FollowUpEnded => "outlive a follow-up",
            Self::Reopen => "be reopened",
        }
    }
}

/// An issue of a tracker that is not a forge, such as Jira: its repository is on a forge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TrackerRef {
    /// The tracker.
    pub platform: PlatformId,
    /// The host of the tracker's site.
    pub site: String,
    /// The tracker's id of the issue, which stays when the issue moves to another project.
    pub id: String,
    /// The key that users see, such as `PROJ-12`.
    pub key: String,
}

impl TrackerRef {
    /// The longest accepted id or key, in characters.
    pub const MAX_LEN: usize = 100;

    /// Creates the reference to an issue of a tracker.
    ///
    /// # Errors
    /// [`InvalidId`] when the site is not a host name, the id is not a number, or the key does not have the form
    /// `PROJ-12`: all three become parts of URLs and of branch names.
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

    /// Returns the project of a key of the form `PROJ-12`.
    fn project_of(key: &str) -> Option<&str> {
        let (project, number) = key.rsplit_once('-')?;
        let digits = (1..=15).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let fits = key.len() <= Self::MAX_LEN && project.starts_with(|c: char| c.is_ascii_uppercase());
        (digits && fits && project.bytes().all(name)).then_some(project)
    }

    /// Returns the key of the issue's project.
    pub fn project(&self) -> &str {
        Self::project_of(&self.key).unwrap_or_default()
    }

    /// Returns the URL of the issue's page.
    pub fn url(&self) -> String {
        format!("https://{}/browse/{}", self.site, self.key)
    }

    /// Returns the number of the key, for display, and an API number that no forge assigns, which distinguishes the
    /// issue from those of the repository itself. (Below 2^53, so that JSON parsers with floating-point numbers only
    /// can read it.)
    fn number(&self) -> IssueNumber {
        const NO_FORGE: u64 = 1 << 52;
        let place = format!("{} {} {}", self.platform, self.site, self.id);
        // FNV-1a is the same on every machine and in every version, unlike the hash of the standard library.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = place.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        let display = self.key.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or_default();
        IssueNumber { api: NO_FORGE | (hash & (NO_FORGE - 1)), display }
    }
}

/// An issue as an event of its platform reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundIssue {
    /// The issue's address.
    pub source: IssueRef,
    /// One line.
    pub title: String,
    /// Markdown; empty if there is none.
    pub body: String,
    /// The reporter's login.
    pub author: String,
    /// The names of its labels; empty as well if the event does not report them.
    pub labels: Vec<String>,
    /// Whether it is a pull request: some platforms number both together.
    pub is_pull_request: bool,
    /// The repository's default branch, if the event reports it.
    pub default_branch: Option<BranchName>,
    /// When it was opened, if the event reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
}

/// The longest stored title, in characters. Platforms accept half of that.
pub const MAX_TITLE_CHARS: usize = 500;
/// The longest stored text of an issue, in characters, as on GitHub.
pub const MAX_BODY_CHARS: usize = 65_536;
/// The longest stored login or label, in characters.
const MAX_NAME_CHARS: usize = 200;
/// The most stored labels.
const MAX_LABELS: usize = 100;

impl InboundIssue {
    /// Returns the issue with texts of bounded length: whoever sends an event may send megabytes, and lists show them all.
    #[must_use]
    pub fn bounded(self) -> Self {
        let labels = self.labels.into_iter().take(MAX_LABELS);
        Self {
            title: bounded(self.title, MAX_TITLE_CHARS),
            body: bounded(self.body, MAX_BODY_CHARS),
            author: bounded(self.author, MAX_NAME_CHARS),
            labels: labels.map(|label| bounded(label, MAX_NAME_CHARS)).collect(),
            ..self
        }
    }

    /// Returns the language that the issue is written in.
    pub fn language(&self) -> Language {
        language_of(&format!("{}\n{}", self.title, self.body))
    }

    /// Returns the branch that a job starts from until the forge has been asked: the reported default branch, or `main`.
    pub fn base_branch(&self) -> BranchName {
        self.default_branch.clone().unwrap_or_else(|| BranchName::parse("main").expect("`main` is a branch name"))
    }
}

fn bounded(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// The reference to an issue on its forge or tracker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IssueRef {
    /// The forge of the repository.
    pub platform: PlatformId,
    /// The repository.
    pub repo: RepoName,
    /// The issue's numbers.
    pub number: IssueNumber,
    /// The tracker of the issue, if that is not the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracker: Option<TrackerRef>,
}

impl IssueRef {
    /// Creates the reference to an issue of a forge.
    pub const fn on_forge(platform: PlatformId, repo: RepoName, number: IssueNumber) -> Self {
        Self { platform, repo, number, tracker: None }
    }

    /// Creates the reference to an issue of a tracker whose repository is on a forge.
    pub fn tracked(platform: PlatformId, repo: RepoName, tracker: TrackerRef) -> Self {
        Self { platform, repo, number: tracker.number(), tracker: Some(tracker) }
    }

    /// Returns the number for API calls to its platform: for an issue of Jira, Jira's id.
    pub fn called_number(&self) -> u64 {
        self.tracker.as_ref().map_or(self.number.api, |tracker| tracker.id.parse().unwrap_or_default())
    }

    /// Returns the number to display: for an issue of a tracker, the number of the key.
    pub fn shown_number(&self) -> u64 {
        if self.tracker.is_some() { self.number.display } else { self.number.api }
    }

    /// Returns the key of a tracker's issue.
    pub fn key(&self) -> Option<&str> {
        self.tracker.as_ref().map(|tracker| tracker.key.as_str())
    }

    /// Returns the name that users see: `#12` on a forge, `PROJ-12` in a tracker.
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

/// An issue as this server stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The issue's id.
    pub id: IssueId,
    /// The reference to it on its forge or tracker.
    pub source: IssueRef,
    /// The title, one line.
    pub title: String,
    /// The text as the reporter wrote it, Markdown.
    pub body: String,
    /// The login of the reporter; empty if the platform does not provide it.
    pub author: String,
    /// The names of its labels, as last received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The user who added it here; `None` for an issue from a webhook.
    #[serde(default)]
    pub owner: Option<UserId>,
    /// The status.
    pub status: IssueStatus,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When it was changed here last.
    pub updated_at: Timestamp,
}

impl Issue {
    /// Returns the issue after `event`.
    ///
    /// # Errors
    /// [`Refused`], as [`IssueStatus::on`] describes.
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
