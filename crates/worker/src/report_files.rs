//! Renders the commit message and the `agent/*` report files, as pure functions of the job.

use std::fmt::Write as _;

use patchwright_core::outgoing_text::{code_span, neutralise, neutralise_plain, shorten};
use patchwright_domain::Job;
use patchwright_domain::job::report::{Candidate, CandidateSymbol, TestResults, Verdict};

/// Renders the message of the job's commit.
pub fn commit_message(job: &Job) -> String {
    // A forge closes issues from commits too, so that no closing keyword is here: the commit is made before its proof.
    let title = neutralise_plain(&job.title, 60);
    let what = if job.proposed().is_none() { "Analysis of" } else { "Fix for" };
    let mut out = format!("{what} {}: {title}\n", job.source.name());
    if let Some(proposed) = job.proposed() {
        let text = shorten(&proposed.plan.fix_strategy, 500);
        let lines: Vec<String> = text.lines().map(|line| neutralise_plain(line, 500)).collect();
        let _ = write!(out, "\n{}\n", lines.join("\n"));
    }
    let _ = write!(out, "\nPatchwright-Job: {}\n", job.id);
    out
}

/// Renders `agent/analysis.md` of `docs/requirements.md#r293`.
pub(crate) fn analysis_file(job: &Job) -> String {
    format!("# Analysis of {}\n\n{}\n{}", job.source.name(), neutralise(&job.title), located_files(job))
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

/// Renders the most likely files of a job as a collapsed list in Markdown; empty before the job has located any.
pub fn located_files(job: &Job) -> String {
    let Some(report) = job.located().filter(|report| !report.candidates.is_empty()) else { return String::new() };
    let mut out = format!(
        "\n<details><summary>The most likely of {} ranked files</summary>\n\n",
        report.stage_data.files_analyzed
    );
    for candidate in report.candidates.iter().take(10) {
        let reasons: Vec<String> = candidate.reasons.iter().take(3).map(|reason| neutralise(reason)).collect();
        let _ = writeln!(out, "- {}: {}{}", code_span(candidate.path.as_str()), reasons.join("; "), places(candidate));
    }
    out.push_str("\n</details>\n");
    out
}

/// How many symbols of a file a comment names, and the longest part of a name, in characters.
const SHOWN_PLACES: usize = 2;
const SYMBOL_NAME: usize = 80;
/// Renders the most likely definitions of a file, for users.
pub(crate) fn places(candidate: &Candidate) -> String {
    let place = |symbol: &CandidateSymbol| {
        format!("{} (line {})", code_span(&shorten(&symbol.name, SYMBOL_NAME)), symbol.lines.0)
    };
    let places: Vec<String> = candidate.symbols.iter().take(SHOWN_PLACES).map(place).collect();
    if places.is_empty() { String::new() } else { format!("; start at {}", places.join(", ")) }
}

fn counts(results: &TestResults) -> String {
    let TestResults { passed, failed, skipped, total, .. } = results;
    format!("{passed} passed, {failed} failed, {skipped} skipped, {total} total")
}
