//! The first thing on the page of a job: what came out, what it is based on, and what to do next.

use jiff::Timestamp;
use patchwright_domain::job::PullRequestEnd;
use patchwright_domain::job::report::{TestFailure, TestResults, Verdict};
use patchwright_domain::job::stage::StageStatus;
use patchwright_domain::{Job, JobStatus};

use super::job::JobPage;
use crate::Translations;
use crate::diff::Diff;

/// The most tests that the card names.
const MAX_TESTS: usize = 3;

/// The result of a job, or how far it is.
#[derive(Debug)]
pub(super) struct JobResult<'a> {
    /// One sentence.
    pub(super) headline: &'static str,
    /// The class of its color: `good`, `bad`, `wait`, or `plain`.
    pub(super) tone: &'static str,
    /// Numbers, each with its name.
    pub(super) figures: Vec<(&'static str, String)>,
    /// What shows the fix.
    pub(super) proof: Option<&'static str>,
    /// The first tests that the change breaks or does not mend.
    pub(super) failing: &'a [String],
    /// What the first of them printed that are known.
    pub(super) failures: &'a [TestFailure],
    /// The pull request, with how its end is called if it has one.
    pub(super) pull_request: Option<PullRequestState<'a>>,
}

/// The pull request of a job, and what the viewer can do with it.
#[derive(Debug)]
pub(super) struct PullRequestState<'a> {
    /// The number.
    pub(super) number: u64,
    /// The page on the forge, if it has one.
    pub(super) url: Option<&'a str>,
    /// The word for its end, if it has ended.
    pub(super) end: Option<&'static str>,
    /// Whether it is a draft.
    pub(super) is_draft: bool,
    /// Whether the viewer can mark it as ready for review.
    pub(super) can_be_readied: bool,
    /// Why the viewer cannot merge it; `None` if they can.
    pub(super) merge_refused: Option<&'static str>,
}

impl<'a> JobResult<'a> {
    /// Summarizes a job for a viewer who may manage it, or may not.
    pub(super) fn new(page: &JobPage<'a>) -> Self {
        let (job, diff, words, now) = (page.job, page.diff, page.layout.translations(), page.now);
        let (headline, tone) = headline(job, words);
        let report = job.verified();
        let failing = report.map_or(&[][..], |report| match report.verdict {
            Verdict::StillFailing if report.broken_tests.is_empty() => &report.failing_tests,
            _ => &report.broken_tests,
        });
        Self {
            headline,
            tone,
            figures: figures(job, diff, words, now),
            proof: report.and_then(|report| report.proof).map(|proof| words.proof(proof)),
            failing: &failing[..failing.len().min(MAX_TESTS)],
            failures: report.filter(|_| !failing.is_empty()).map_or(&[], |report| &report.failures),
            pull_request: pull_request(page),
        }
    }
}

fn headline(job: &Job, words: &Translations) -> (&'static str, &'static str) {
    if job.awaits_approval() {
        return (words.result_waits, "wait");
    }
    match (job.status(), job.verdict) {
        (JobStatus::Queued, _) => (words.result_queued, "plain"),
        (JobStatus::Running, _) => (words.result_running, "wait"),
        (JobStatus::Publishing, None) => (words.result_publishing, "wait"),
        (JobStatus::Cancelled, _) => (words.result_cancelled, "plain"),
        // Proven, but not published.
        (JobStatus::Failed, Some(verdict)) if !verdict.is_harmful() && verdict != Verdict::StillFailing => {
            (words.result_failed, "bad")
        }
        (_, Some(verdict)) => {
            let tone = match verdict {
                Verdict::FixedProven => "good",
                verdict if verdict.is_harmful() => "bad",
                _ => "plain",
            };
            (words.result_of(verdict), tone)
        }
        (_, None) => (words.result_failed, "bad"),
    }
}

fn figures(job: &Job, diff: &Diff, words: &Translations, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    if let Some(running) = job.stages.iter().find(|record| record.status == StageStatus::Running) {
        figures.push((words.current_stage, words.stage_name(running.kind).to_owned()));
    }
    if let Some(report) = job.verified() {
        let passed = |results: &Option<TestResults>| results.as_ref().map(|results| results.passed);
        match (passed(&report.before), passed(&report.test_results)) {
            (Some(before), Some(after)) => figures.push((words.tests_passing, format!("{before} → {after}"))),
            (None, Some(after)) => figures.push((words.tests_passing, after.to_string())),
            _ => {}
        }
    }
    if !diff.files.is_empty() {
        let (added, removed) = diff.files.iter().fold((0, 0), |sum, file| (sum.0 + file.added, sum.1 + file.removed));
        let files = if diff.files.len() == 1 { words.in_one_file } else { words.in_files };
        figures.push((words.files_changed, format!("+{added} −{removed} · {} {files}", diff.files.len())));
    }
    if let Some(from) = job.started_at {
        let is_over = job.ended_at.is_some();
        let seconds = job.ended_at.unwrap_or(now).duration_since(from).as_secs_f64();
        figures.push((if is_over { words.time } else { words.elapsed }, words.seconds(seconds.max(0.0))));
    }
    if job.usage().calls > 0 {
        let (cost, tokens) = (words.money(job.usage()), job.usage().tokens());
        if cost.is_empty() {
            figures.push((words.tokens, tokens.to_string()));
        } else {
            figures.push((words.cost, format!("{cost} · {tokens} {}", words.tokens)));
        }
    }
    figures
}

fn pull_request<'a>(page: &JobPage<'a>) -> Option<PullRequestState<'a>> {
    let (job, words) = (page.job, page.layout.translations());
    let pull_request = job.published.pull_request.as_ref()?;
    let end = pull_request.end.as_ref().map(|end| match end {
        PullRequestEnd::Merged => words.pull_request_merged,
        PullRequestEnd::Closed => words.pull_request_closed,
    });
    let is_draft = !job.published.ready;
    let merge_refused = match () {
        () if !page.may_steer => Some(words.merge_not_permitted),
        // The pull request of the newest job would be merged.
        () if !page.is_newest => Some(words.merge_is_old),
        () if is_draft => Some(words.merge_is_draft),
        () => None,
    };
    let url = Some(pull_request.url.as_str()).filter(|url| url.starts_with("http"));
    let can_be_readied = is_draft && page.may_steer && page.is_newest && end.is_none() && job.status().is_terminal();
    Some(PullRequestState { number: pull_request.number, url, end, is_draft, can_be_readied, merge_refused })
}
