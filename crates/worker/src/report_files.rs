//! Renders the commit message and the `agent/*` report files, as pure functions of the job.

use std::fmt::Write as _;

use patchwright_core::outgoing_text::{OutgoingText, code_span, neutralise, neutralise_plain, shorten};
use patchwright_domain::job::report::{Candidate, CandidateSymbol, ChangeForm, TestResults, Verdict};
use patchwright_domain::trigger::{Language, Translated};
use patchwright_domain::{IssueNumber, Job};

/// The number of an issue that is only a text, as in a terminal.
pub const NO_NUMBER: IssueNumber = IssueNumber::same(0);

/// Renders the message of the job's commit, in the form that the repository wants.
pub fn commit_message(job: &Job, form: &ChangeForm) -> OutgoingText {
    // A forge closes issues from commits too, so that no closing keyword is here: the commit is made before its proof.
    let (issue, title) = (OutgoingText::issue_name(&job.source), neutralise_plain(&job.title, 60));
    let is_without_number = job.source.tracker.is_none() && job.source.number == NO_NUMBER;
    let subject = match (job.proposed().is_none(), form.is_conventional) {
        (true, false) if is_without_number => "Analysis: {title}\n",
        (false, false) if is_without_number => "Fix: {title}\n",
        (true, true) if is_without_number => "docs: analysis of {title}\n",
        (false, true) if is_without_number => "fix: {title}\n",
        (true, false) => "Analysis of {issue}: {title}\n",
        (false, false) => "Fix for {issue}: {title}\n",
        (true, true) => "docs: analysis of {title} ({issue})\n",
        (false, true) => "fix: {title} ({issue})\n",
    };
    let mut out = OutgoingText::fill(subject, &[("issue", &issue), ("title", &title)]);
    if let Some(proposed) = job.proposed() {
        let text = shorten(&proposed.plan.fix_strategy, 500);
        let lines: Vec<OutgoingText> = text.lines().map(|line| neutralise_plain(line, 500)).collect();
        out.push(&OutgoingText::fill("\n{lines}\n", &[("lines", &OutgoingText::join(&lines, "\n"))]));
    }
    out.push(&OutgoingText::fill("\nPatchwright-Job: {job}\n", &[("job", &job.id.into())]));
    out
}

/// Renders `agent/analysis.md` of `docs/requirements.md#r293`.
pub(crate) fn analysis_file(job: &Job) -> String {
    let located = located_files(job, Language::English);
    format!("# Analysis of {}\n\n{}\n{located}", job.source.name(), neutralise(&job.title))
}

/// Renders `agent/report.txt` of `docs/requirements.md#r295`.
pub(crate) fn report_file(job: &Job, verdict: Verdict) -> String {
    let mut out = format!("job: {}\nverdict: {}\n", job.id, verdict.as_str());
    if let Some(report) = job.verified() {
        let _ = writeln!(out, "explanation: {}", report.explanation);
        if let Some(before) = &report.before {
            let _ = writeln!(out, "before: {}", counts(before));
        }
        if let Some(after) = &report.test_results {
            let _ = writeln!(out, "after: {}", counts(after));
        }
    }
    out
}

/// How many files a list shows, and how many reasons and definitions of each.
const SHOWN_FILES: usize = 10;
const SHOWN_REASONS: usize = 3;
const SHOWN_PLACES: usize = 2;
/// The longest name of a definition, in characters.
const SYMBOL_NAME: usize = 80;

const LOCATED: Translated = Translated::new(
    "\n<details><summary>The most likely of {count} ranked files</summary>\n\n{files}\n</details>\n",
    "\n<details><summary>{count} 个已排序文件中最可能的几个</summary>\n\n{files}\n</details>\n",
);
const LINE: Translated = Translated::new("{name} (line {line})", "{name}（第 {line} 行）");
const START_AT: Translated = Translated::new("; start at {places}", "；从 {places} 看起");

/// Renders the most likely files of a job as a collapsed list in Markdown; empty before the job has located any.
pub fn located_files(job: &Job, language: Language) -> OutgoingText {
    let Some(report) = job.located().filter(|report| !report.candidates.is_empty()) else {
        return OutgoingText::default();
    };
    let mut files = OutgoingText::default();
    for candidate in report.candidates.iter().take(SHOWN_FILES) {
        let reasons: Vec<OutgoingText> =
            candidate.reasons.iter().take(SHOWN_REASONS).map(|reason| neutralise(reason)).collect();
        files.push(&OutgoingText::fill(
            "- {file}: {reasons}{places}\n",
            &[
                ("file", &code_span(candidate.path.as_str())),
                ("reasons", &OutgoingText::join(&reasons, "; ")),
                ("places", &places(candidate, language)),
            ],
        ));
    }
    let count = (report.stage_data.files_analyzed as u64).into();
    OutgoingText::fill(LOCATED.get(language), &[("count", &count), ("files", &files)])
}

/// Renders the most likely definitions of a file, for users.
pub(crate) fn places(candidate: &Candidate, language: Language) -> OutgoingText {
    let place = |symbol: &CandidateSymbol| {
        let name = code_span(&shorten(&symbol.name, SYMBOL_NAME));
        OutgoingText::fill(LINE.get(language), &[("name", &name), ("line", &u64::from(symbol.lines.0).into())])
    };
    let places: Vec<OutgoingText> = candidate.symbols.iter().take(SHOWN_PLACES).map(place).collect();
    if places.is_empty() {
        return OutgoingText::default();
    }
    OutgoingText::fill(START_AT.get(language), &[("places", &OutgoingText::join(&places, ", "))])
}

fn counts(results: &TestResults) -> String {
    let TestResults { passed, failed, skipped, total, .. } = results;
    format!("{passed} passed, {failed} failed, {skipped} skipped, {total} total")
}
