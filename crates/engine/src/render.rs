//! Renders comments, the pull request's panel and commit messages, as pure functions of the job.

use std::fmt::Write as _;

use patchwright_core::outgoing_text::{code_block, code_span, neutralise, neutralise_line, neutralise_plain, shorten};
use patchwright_domain::job::report::{TestResults, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, FailureOrigin, PullRequestEnd};
use patchwright_domain::{Job, JobStatus};

use patchwright_worker::located_files;

/// The longest output in a comment, in characters.
const LOG_IN_TEXT: usize = 3_000;

/// Renders the progress comment on the issue.
pub fn progress_comment(job: &Job, app_name: &str, public_url: Option<&str>) -> String {
    let headline = match job.status() {
        _ if job.awaits_approval() => format!("**{app_name}** has a plan, which waits for approval."),
        JobStatus::Queued if job.attempts > 0 => format!("**{app_name}** will continue shortly."),
        JobStatus::Queued if job.follows.is_some() => {
            format!(
                "**{app_name}** has queued this and will continue on the same branch when the previous job has ended."
            )
        }
        JobStatus::Queued => format!("**{app_name}** has queued this and will start shortly."),
        JobStatus::Running => format!("**{app_name}** is working on this."),
        JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled => format!("**{app_name}**: {}", outcome(job)),
    };
    let mut out = format!("{headline}\n\n{}", stage_table(job));
    if let Some(pull_request) = &job.published.pull_request {
        // A plain issue number refers to the forge only.
        let place = job.source.tracker.as_ref().map(|_| format!(" ({})", pull_request.url)).unwrap_or_default();
        let _ = writeln!(out, "\nPull request: #{}{place}", pull_request.number);
    }
    if job.awaits_approval() {
        out.push_str(&plan_to_approve(job, app_name, public_url));
    }
    out.push_str(&footer(job, public_url));
    out
}

/// Renders the plan that waits for approval, and how to approve it.
fn plan_to_approve(job: &Job, app_name: &str, public_url: Option<&str>) -> String {
    let page = match public_url {
        Some(url) => format!("on [its page]({}/jobs/{})", url.trim_end_matches('/'), job.id),
        None => format!("with `patchwright jobs approve {}`", job.id),
    };
    format!("{}\nApprove it {page}, or comment `@{app_name} approve` or `@{app_name} cancel`.\n", plan(job))
}

/// Renders the plan, if there is one.
fn plan(job: &Job) -> String {
    let Some(proposed) = job.proposed() else { return String::new() };
    let mut out = format!("\n### Cause\n\n{}\n", neutralise(&proposed.plan.root_cause));
    let _ = writeln!(out, "\n### Planned changes\n\n{}\n", neutralise(&proposed.plan.fix_strategy));
    for change in &proposed.plan.changes {
        let _ = writeln!(out, "- {}: {}", code_span(change.file.as_str()), neutralise(&change.description));
    }
    if !proposed.plan.risks.is_empty() {
        out.push_str("\n### Risks\n\n");
        for risk in proposed.plan.risks.iter().take(8) {
            let _ = writeln!(out, "- {}", neutralise(risk));
        }
    }
    out
}

/// Renders the pull request's title: the issue's number and title (`docs/requirements.md#r293`), or the key in
/// brackets, which links it to the issue in Jira.
pub fn pull_request_title(job: &Job) -> String {
    // "Fix #12" would close the issue when the pull request is squashed into one commit of this title, proven or not.
    let what = if analysis_only(job) { "Analysis of" } else { "Fix for" };
    let title = neutralise_plain(&job.title, 180);
    match (&job.source.tracker, analysis_only(job)) {
        (Some(tracker), false) => format!("[{}] {title}", tracker.key),
        _ => format!("{what} {}: {title}", job.source.name()),
    }
}

/// Renders the pull request's text: the live panel first, then the findings, the plan, the changes and the tests.
pub fn pull_request_body(job: &Job, app_name: &str, issue_url: &str, public_url: Option<&str>) -> String {
    let analysis = analysis_only(job);
    let mut out = String::new();
    if analysis {
        out.push_str(
            "> **Analysis only.** No model is configured, so the files were ranked and nothing was changed.\n\n",
        );
    } else if job.status() == JobStatus::Running {
        let _ = writeln!(out, "> **{app_name}** is still working on this; the panel below is live.\n");
    } else {
        let _ = writeln!(out, "> {}\n", outcome(job));
    }
    if let Some(follows) = &job.follows {
        let instructions =
            job.trigger.instructions.as_deref().map(|text| neutralise_line(text, 300)).unwrap_or_default();
        let _ = writeln!(
            out,
            "> Follow-up of job `{}`, requested by {}. {instructions}\n",
            follows.job_id,
            neutralise_line(&job.trigger.actor, 60)
        );
    }
    // A closing keyword only for a fix that tests show: merging anything else must not close the issue.
    let is_proven = job.status() == JobStatus::Succeeded && job.verdict == Some(Verdict::FixedProven);
    let relation = if is_proven && job.source.tracker.is_none() { "Closes" } else { "For" };
    let _ = writeln!(out, "{relation} {} ({issue_url})\n", job.source.name());
    out.push_str(&stage_table(job));
    out.push_str(&test_table(job));
    out.push_str(&plan(job));
    out.push_str(&located_files(job));
    out.push_str(&footer(job, public_url));
    out
}

/// Renders the note about a follow-up that ended without adding to the branch.
pub(crate) fn ended_follow_up(job: &Job) -> String {
    let how = if job.status() == JobStatus::Cancelled { "was cancelled" } else { "failed" };
    format!(
        "> The follow-up job `{}`, requested by {}, {how}. What is below still holds.\n\n",
        job.id,
        neutralise_line(&job.trigger.actor, 60)
    )
}

/// Renders the comment about the job's result.
pub fn result_comment(job: &Job, app_name: &str, public_url: Option<&str>) -> String {
    let mut out = format!("**{app_name}**: {}\n", outcome(job));
    if let Some(pull_request) = job.published.current_pull_request() {
        let state = match pull_request.end {
            Some(PullRequestEnd::Merged) => "merged",
            Some(PullRequestEnd::Closed) => "closed",
            None if pull_request.draft => "a draft",
            None => "ready for review",
        };
        let _ = writeln!(out, "\nPull request #{} is {state}: {}", pull_request.number, pull_request.url);
    }
    if job.published.problem.is_some() {
        out.push_str(
            "\nNot everything could be published: the forge refused it or did not answer. The job's page has the details.\n",
        );
    }
    if let Some(failure) = &job.failure {
        let stage = failure.stage.map_or_else(String::new, |stage| format!(" in `{stage}`"));
        let (reason, remedy) = public_failure(failure);
        let _ = writeln!(out, "\nError{stage}: {}\n\nWhat to do: {}", neutralise(reason), neutralise(remedy));
        if job.verified().is_none() {
            out.push_str(&located_files(job));
        }
    }
    out.push_str(&test_table(job));
    if let Some(report) =
        job.report_on_branch().filter(|report| report.verdict != Verdict::FixedProven && !report.log_tail.is_empty())
    {
        let from = report.log_tail.char_indices().rev().nth(LOG_IN_TEXT).map_or(0, |(at, _)| at);
        let log = code_block(&report.log_tail[from..], "text");
        let _ = writeln!(out, "\n<details><summary>End of the test output</summary>\n\n{log}\n\n</details>");
    }
    if job.status() == JobStatus::Succeeded && job.verdict == Some(Verdict::AnalysisOnly) {
        out.push_str(&located_files(job));
    }
    if matches!(job.status(), JobStatus::Failed | JobStatus::Cancelled) {
        let _ = writeln!(out, "\nTo try again, comment `@{app_name} retry`.");
    }
    out.push_str(&footer(job, public_url));
    out
}

/// Returns what everybody may read about a failure: our own words about what was asked for, and of all else only which part
/// failed. The messages of servers and of this machine hold addresses and paths; they are in the log, the API and on the
/// job's page.
fn public_failure(failure: &Failure) -> (&str, &str) {
    const DETAILS: &str = "The job's page and the server's log have the details. Retry the job when that is corrected.";
    match failure.origin {
        FailureOrigin::Request => (&failure.reason, &failure.remedy),
        FailureOrigin::Machine => {
            ("the machine that ran the job has no disk space, memory or permission left", DETAILS)
        }
        FailureOrigin::Forge => ("the forge refused a request or did not answer", DETAILS),
        FailureOrigin::Git => ("the git server refused a request or did not answer", DETAILS),
        FailureOrigin::Model => ("the model server refused a request or gave no usable answer", DETAILS),
        _ => ("an error of this server", "Report a bug with the server's log of this job."),
    }
}

/// Renders the reply to `status`.
pub(crate) fn status(job: Option<&Job>, app_name: &str, public_url: Option<&str>) -> String {
    match job {
        Some(job) => progress_comment(job, app_name, public_url),
        None => format!("There is no job for this issue. Comment `@{app_name} fix` to start one.\n"),
    }
}

/// Renders the comment about too many requests, which is posted at most once an hour.
pub(crate) fn too_many(per_hour: u32) -> String {
    format!(
        "The limit of {per_hour} requests per hour on one issue is reached. Further requests on this issue are ignored \
         for up to an hour.\n"
    )
}

/// Returns whether the job changes nothing because there is no model. A third-party node skips the fix too, and the stages
/// before it: its own program made the change.
fn analysis_only(job: &Job) -> bool {
    let is_skipped = |kind| job.stage(kind).status == StageStatus::Skipped;
    job.verdict == Some(Verdict::AnalysisOnly)
        || (job.verdict.is_none() && is_skipped(StageKind::Fix) && !is_skipped(StageKind::Locate))
}

/// Returns one sentence about the result. It claims success only if tests showed it.
fn outcome(job: &Job) -> String {
    let explanation = job.report_on_branch().map(|report| neutralise(&report.explanation)).unwrap_or_default();
    match (job.status(), job.verdict) {
        (JobStatus::Cancelled, _) => "The job was cancelled.".to_owned(),
        (JobStatus::Failed, Some(verdict)) if verdict.is_harmful() => {
            format!("The tests fail with the change: {explanation}.")
        }
        (JobStatus::Failed, Some(_)) if job.published.problem.is_some() => {
            format!("A change was made, and could not be published. The tests: {explanation}.")
        }
        (JobStatus::Failed, _) => "The job failed.".to_owned(),
        (_, Some(Verdict::FixedProven)) => format!("Fixed, and tests show it: {explanation}."),
        (_, Some(Verdict::Unproven)) => {
            format!("A change is ready for review, but no test shows that it fixes the issue: {explanation}.")
        }
        (_, Some(Verdict::StillFailing)) => format!("A change was made, but tests still fail: {explanation}."),
        (_, Some(Verdict::NoTests)) => format!("A change is ready for review, untested: {explanation}."),
        (_, Some(Verdict::NotRun)) => format!("A change is ready for review, **not tested**: {explanation}."),
        (_, Some(Verdict::AnalysisOnly)) => {
            "No model is configured, so nothing was changed; these files most likely contain the fault.".to_owned()
        }
        (_, Some(verdict)) => format!("{}: {explanation}.", verdict.as_str()),
        (_, None) => "The job is in progress.".to_owned(),
    }
}

fn stage_table(job: &Job) -> String {
    let mut out = "| stage | state | time | tokens |\n| --- | --- | --- | --- |\n".to_owned();
    for record in &job.stages {
        let state = match record.status {
            StageStatus::Pending if record.report.is_some() => "⏳ retrying",
            StageStatus::Pending => "· waiting",
            StageStatus::Running => "⏳ running",
            StageStatus::Succeeded => "✅ done",
            StageStatus::Failed => "❌ failed",
            StageStatus::Skipped => "– skipped",
        };
        let reason = record.reason.as_ref().filter(|_| record.status == StageStatus::Skipped);
        let reason = reason.map_or_else(String::new, |text| format!(": {}", neutralise_line(text, 80)));
        let timed = record.seconds().filter(|_| record.status != StageStatus::Skipped);
        let time = timed.map_or_else(String::new, seconds);
        let tokens = if record.usage.calls == 0 { String::new() } else { record.usage.tokens().to_string() };
        let _ = writeln!(out, "| {} | {state}{reason} | {time} | {tokens} |", record.kind);
    }
    out
}

fn test_table(job: &Job) -> String {
    let Some(report) = job.report_on_branch() else { return String::new() };
    let Some(command) = &report.command else {
        return format!("\n**Tests were not run:** {}\n", neutralise(&report.explanation));
    };
    let mut out = format!("\n### Tests\n\n{} (isolation: {})\n\n", code_span(command), report.isolation);
    out.push_str("| run | passed | failed | skipped | total |\n| --- | --- | --- | --- | --- |\n");
    let mut row = |name: &str, results: &TestResults| {
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} |",
            results.passed, results.failed, results.skipped, results.total
        );
    };
    if let Some(before) = &report.before {
        row("before", before);
    }
    if let Some(after) = &report.test_results {
        row("after", after);
    }
    for (sign, names) in [("now passes", &report.fixed_tests), ("now fails", &report.broken_tests)] {
        for name in names.iter().take(10) {
            let _ = writeln!(out, "\n{sign}: {}", code_span(&shorten(name, 160)));
        }
    }
    out
}

fn footer(job: &Job, public_url: Option<&str>) -> String {
    let usage = job.usage();
    let mut parts = vec![match public_url {
        Some(url) => format!("job [`{}`]({}/jobs/{})", job.id, url.trim_end_matches('/'), job.id),
        None => format!("job `{}`", job.id),
    }];
    if usage.calls > 0 {
        parts.push(format!("{} tokens in {} model calls", usage.tokens(), usage.calls));
    }
    if usage.cost_micros > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a price is shown with four digits")]
        parts.push(format!("cost {:.4}", usage.cost_micros as f64 / 1e6));
    }
    format!("\n<sub>{}</sub>\n", parts.join(" · "))
}

fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}
