//! One job: its stages with their reports, and the actions.

use askama::Template;
use jiff::Timestamp;
use patchwright_domain::job::report::{CandidateSymbol, LocateReport, Plan, ProposeReport, VerifyReport};
use patchwright_domain::job::stage::{StageRecord, StageStatus};
use patchwright_domain::{Job, JobStatus, Task, Usage};

use super::job_result::JobResult;
use crate::diff::Diff;
use crate::{Layout, Translations, markdown};

/// The most candidate files that are shown.
const CANDIDATES: usize = 20;
/// The most tests by name that are shown.
const TESTS: usize = 50;

/// A model call in the list.
#[derive(Debug, Clone)]
pub struct CallRow {
    /// The URL of the page with the prompt and answer.
    pub page: String,
    /// The purpose.
    pub purpose: String,
    /// The model.
    pub model: String,
    /// The usage.
    pub usage: Usage,
    /// The duration.
    pub millis: u64,
    /// The reason why there is no usable answer.
    pub error: Option<String>,
    /// The time.
    pub at: Timestamp,
}

impl CallRow {
    fn key(&self) -> &str {
        &self.page
    }
}

/// How a diff is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiffLayout {
    /// Both versions side by side.
    #[default]
    Split,
    /// One unified listing.
    Unified,
}

impl DiffLayout {
    /// Both layouts.
    pub const ALL: [Self; 2] = [Self::Split, Self::Unified];

    /// Returns the code in URLs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Unified => "unified",
        }
    }

    /// Parses the result of [`Self::code`].
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|diff_layout| diff_layout.code() == code)
    }

    /// Returns the display name.
    pub const fn name(self, words: &Translations) -> &'static str {
        match self {
            Self::Split => words.side_by_side,
            Self::Unified => words.unified,
        }
    }
}

/// A job.
#[derive(Debug, Template)]
#[template(path = "job.html")]
pub struct JobPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// The job.
    pub job: &'a Job,
    /// The position in its repository's queue, and the estimated wait in seconds.
    pub waits: Option<(u64, Option<u64>)>,
    /// The model calls.
    pub calls: &'a [CallRow],
    /// The tasks, newest first.
    pub tasks: &'a [Task],
    /// The task whose log is shown.
    pub log: Option<&'a Task>,
    /// The end of its log, without terminal colors.
    pub log_tail: &'a str,
    /// The diff.
    pub diff: &'a Diff,
    /// The layout of the diff.
    pub diff_layout: DiffLayout,
    /// Whether the viewer may manage it.
    pub may_steer: bool,
    /// Whether it is the newest job of its issue.
    pub is_newest: bool,
}

impl<'a> JobPage<'a> {
    fn can_cancel(&self) -> bool {
        self.may_steer && self.job.status().is_cancellable()
    }

    fn can_retry(&self) -> bool {
        self.may_steer && matches!(self.job.status(), JobStatus::Failed | JobStatus::Cancelled)
    }

    /// A branch that was moved onto its base a moment ago needs no other move, but nobody is kept from asking for one.
    fn can_rebase(&self) -> bool {
        self.may_steer && self.job.status().is_terminal() && self.job.published.open_pull_request().is_some()
    }

    fn located(&self) -> Option<&'a LocateReport> {
        self.job.located().filter(|report| !report.candidates.is_empty())
    }

    fn candidates(&self) -> impl Iterator<Item = CandidateRow<'a>> {
        let candidates = self.located().map_or(&[][..], |report| &report.candidates);
        let best = candidates.first().map_or(1.0, |first| first.score).max(f64::MIN_POSITIVE);
        candidates.iter().take(CANDIDATES).enumerate().map(move |(at, candidate)| CandidateRow {
            rank: at + 1,
            path: candidate.path.as_str(),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a hundred")]
            share: (candidate.score / best * 100.0).clamp(0.0, 100.0) as u32,
            reasons: &candidate.reasons,
            symbols: &candidate.symbols,
        })
    }

    fn proposed(&self) -> Option<&'a ProposeReport> {
        self.job.proposed()
    }

    fn verified(&self) -> Option<&'a VerifyReport> {
        self.job.verified()
    }

    fn result(&self) -> JobResult<'a> {
        JobResult::new(self)
    }

    /// Returns the parts of the page that there are, each with its anchor and name.
    fn index(&self) -> Vec<(&'static str, &'static str)> {
        let words = self.layout.translations();
        let parts = [
            (!self.diff.files.is_empty(), "diff", words.changes),
            (self.verified().is_some(), "tests", words.tests),
            (self.job.published.ci.is_some(), "ci", words.ci),
            (self.proposed().is_some(), "plan", words.plan),
            (!self.calls.is_empty(), "calls", words.with_the_model),
            (self.log.is_some(), "log", words.log),
            (self.located().is_some(), "candidates", words.why_these_files),
        ];
        parts.into_iter().filter(|(is_there, ..)| *is_there).map(|(_, anchor, name)| (anchor, name)).collect()
    }

    /// Returns whether the viewer can ask for more on the branch of the job.
    fn can_follow_up(&self) -> bool {
        self.may_steer && self.job.status().is_terminal() && self.job.fixed().is_some()
    }

    fn is_split(&self) -> bool {
        self.diff_layout == DiffLayout::Split
    }

    fn cost(&self) -> String {
        self.layout.translations().money(self.job.usage())
    }

    /// Returns the duration of a stage so far.
    fn lasted(&self, record: &StageRecord) -> String {
        let seconds = match (record.status, record.started_at) {
            (StageStatus::Skipped | StageStatus::Pending, _) | (_, None) => return String::new(),
            (StageStatus::Running, Some(began)) => self.now.duration_since(began).as_secs_f64(),
            _ => record.seconds().unwrap_or_default(),
        };
        self.layout.translations().seconds(seconds)
    }

    const fn has_details(plan: &Plan) -> bool {
        !plan.risks.is_empty() || !plan.testing_suggestions.is_empty()
    }

    /// Renders text of the model as safe HTML.
    fn prose(text: &str) -> String {
        markdown::to_html(text)
    }

    fn tests(names: &[String]) -> &[String] {
        &names[..names.len().min(TESTS)]
    }

    fn more(names: &[String]) -> usize {
        names.len().saturating_sub(TESTS)
    }

    fn went_on(&self) -> Option<&'a str> {
        match &self.job.review {
            patchwright_domain::job::PlanReview::Approved { by } => Some(by),
            _ => None,
        }
    }
}

struct CandidateRow<'a> {
    rank: usize,
    path: &'a str,
    /// The score relative to the best one, in hundredths.
    share: u32,
    reasons: &'a [String],
    symbols: &'a [CandidateSymbol],
}

/// The prompt and answer of a model call.
#[derive(Debug, Template)]
#[template(path = "call.html")]
pub struct CallPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// The job of the call.
    pub job: &'a str,
    /// The call.
    pub call: &'a CallRow,
    /// The messages with their authors.
    pub question: &'a [(String, String)],
    /// The answer.
    pub answer: Option<&'a str>,
}

/// The Job object, as in the API.
#[derive(Debug, Template)]
#[template(path = "object.html")]
pub struct ObjectPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The job.
    pub job: &'a str,
    /// The object, as JSON.
    pub json: &'a str,
}
