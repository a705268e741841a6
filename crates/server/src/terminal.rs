//! Terminal output: a progress line, completed stages, a colored diff, one line of JSON for programs.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use patchwright_core::progress::{ProgressEvent, ProgressSink};
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::job::report::{ChangedFile, Plan, TestResults, Verdict, VerifyReport};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::{Job, JobId, JobStatus, RepoPath};
use serde::Serialize;

/// Prints a line on standard output. A closed pipe is not an error: the reader may stop reading.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line on standard error.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints an error with its causes on standard error.
pub(crate) fn complain(error: &(dyn std::error::Error + 'static)) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    note(&format!("{} {text}", style("error:").for_stderr().red().bold()));
}

/// Shows the progress of one job.
pub(crate) struct Display {
    bar: ProgressBar,
    tokens: Mutex<u64>,
    plain: bool,
}

impl Display {
    /// Creates a display on standard error: a progress line on a terminal, plain lines elsewhere.
    pub(crate) fn new() -> Self {
        let plain = !console::Term::stderr().is_term();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let shape = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(shape);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, tokens: Mutex::new(0), plain }
    }

    /// Removes the progress line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, text: &str) {
        if self.plain {
            note(text);
        } else {
            self.bar.println(text);
        }
    }
}

impl ProgressSink for Display {
    fn publish(&self, _: JobId, event: ProgressEvent) {
        match event {
            ProgressEvent::Stage { stage, status: StageStatus::Running } => {
                self.bar.set_message(format!("{stage}"));
                if self.plain {
                    note(&format!("… {stage}"));
                }
            }
            ProgressEvent::Stage { stage, status } => {
                let mark = match status {
                    StageStatus::Succeeded => style("✓").for_stderr().green(),
                    StageStatus::Failed => style("✗").for_stderr().red(),
                    StageStatus::Pending => style("↻").for_stderr().yellow(),
                    StageStatus::Skipped | StageStatus::Running => style("–").for_stderr().dim(),
                };
                let words = match status {
                    StageStatus::Skipped => " (skipped)",
                    StageStatus::Pending => " failed; retrying",
                    _ => "",
                };
                self.line(&format!("{mark} {stage}{words}"));
            }
            ProgressEvent::Activity { description } => {
                let tokens = *self.tokens.lock().expect("no holder of this lock can panic");
                let spent = if tokens == 0 { String::new() } else { format!(" · {tokens} tokens") };
                self.bar.set_message(format!("{description}{spent}"));
                if self.plain {
                    note(&format!("  {description}"));
                }
            }
            ProgressEvent::Tokens { total } => *self.tokens.lock().expect("no holder of this lock can panic") = total,
            _ => {}
        }
    }
}

/// The result of a job for programs: one line of JSON.
#[derive(Serialize)]
struct Summary<'a> {
    job_id: JobId,
    /// The status of the job, or `interrupted` by a signal.
    status: &'static str,
    verdict: Option<Verdict>,
    branch: Option<&'a str>,
    pull_request: Option<&'a PullRequestRef>,
    stages: Vec<StageSummary>,
    candidate_files: Vec<&'a RepoPath>,
    changed_files: &'a [ChangedFile],
    /// The whole change as a unified diff; null if none was made.
    diff: Option<&'a str>,
    plan: Option<&'a Plan>,
    /// What the verdict is based on, one sentence.
    explanation: Option<&'a str>,
    tests: Tests<'a>,
    /// Whether the change was written into the folder.
    applied: bool,
    tokens: u64,
    cost: f64,
    seconds: f64,
    error: Option<String>,
}

#[derive(Serialize)]
struct StageSummary {
    name: StageKind,
    status: StageStatus,
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Tests<'a> {
    before: Option<&'a TestResults>,
    after: Option<&'a TestResults>,
    command: Option<&'a str>,
    fixed: &'a [String],
    broken: &'a [String],
}

fn summary(job: &Job, is_interrupted: bool) -> Summary<'_> {
    let verified = job.verified();
    let ran = verified.filter(|report| report.command.is_some());
    let stage = |record: &patchwright_domain::job::stage::StageRecord| StageSummary {
        name: record.kind,
        status: record.status,
        seconds: record.seconds(),
    };
    let took = job.started_at.zip(job.ended_at).map(|(from, to)| to.duration_since(from).as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a price is shown with a few digits")]
    let cost = job.usage().cost_micros as f64 / 1e6;
    Summary {
        job_id: job.id,
        status: if is_interrupted { "interrupted" } else { job.status().as_str() },
        verdict: job.verdict,
        branch: job.published.pushed.as_ref().map(|_| job.branch.as_str()),
        pull_request: job.published.pull_request.as_ref(),
        stages: job.stages.iter().map(stage).collect(),
        candidate_files: job.located().map(|report| report.candidate_files.iter().collect()).unwrap_or_default(),
        changed_files: job.fixed().map(|report| report.changed_files.as_slice()).unwrap_or_default(),
        diff: job.fixed().map(|report| report.diff.as_str()).filter(|diff| !diff.is_empty()),
        plan: job.proposed().map(|report| &report.plan),
        explanation: verified.map(|report| report.explanation.as_str()),
        tests: Tests {
            before: verified.and_then(|report| report.before.as_ref()),
            after: ran.and_then(|report| report.test_results.as_ref()),
            command: verified.and_then(|report| report.command.as_deref()),
            fixed: verified.map(|report| report.fixed_tests.as_slice()).unwrap_or_default(),
            broken: verified.map(|report| report.broken_tests.as_slice()).unwrap_or_default(),
        },
        applied: false,
        tokens: job.usage().tokens(),
        cost,
        seconds: took.unwrap_or(0.0),
        error: job.failure.as_ref().map(|failure| failure.reason.clone()),
    }
}

/// Prints the JSON line.
pub(crate) fn print_json(job: &Job, is_interrupted: bool, applied: bool) {
    say(&serde_json::to_string(&Summary { applied, ..summary(job, is_interrupted) })
        .expect("a summary has only text and finite numbers"));
}

/// Prints JSON as one line.
pub(crate) fn print_json_value(value: &serde_json::Value) {
    say(&value.to_string());
}

/// Prints the JSON line of a job that could not be created.
pub(crate) fn print_json_error(error: &(dyn std::error::Error + 'static)) {
    say(&serde_json::json!({ "job_id": null, "status": "failed", "verdict": null, "error": error.to_string() })
        .to_string());
}

/// Prints the result for users: the files, the diff, the tests, the verdict.
pub(crate) fn print_result(job: &Job) {
    say(&format!("\n{}", style("Stages").bold()));
    for record in &job.stages {
        let time = record.seconds().map_or_else(String::new, |seconds| format!("{seconds:.1} s"));
        let tokens = if record.usage.calls == 0 { String::new() } else { format!("{} tokens", record.usage.tokens()) };
        say(&format!(
            "  {:<8} {:<10} {time:>8}  {}",
            record.kind.as_str(),
            record.status.as_str(),
            style(tokens).dim()
        ));
    }
    if let Some(report) = job.located() {
        say(&format!("\n{}", style("The most likely files").bold()));
        for candidate in report.candidates.iter().take(5) {
            let reason = candidate.reasons.first().map_or("", String::as_str);
            say(&format!("  {} {}", style(&candidate.path).cyan(), style(reason).dim()));
        }
    }
    if let Some(plan) = job.proposed().map(|report| &report.plan) {
        say(&format!("\n{} {}", style("Cause:").bold(), plan.root_cause));
        say(&format!("{} {}", style("Plan:").bold(), plan.fix_strategy));
    }
    if let Some(fix) = job.fixed() {
        say(&format!("\n{}", style("The change").bold()));
        print_diff(&fix.diff);
    }
    if let Some(report) = job.verified() {
        print_tests(report);
    }
    if let Some(pull_request) = &job.published.pull_request {
        let state = if job.published.ready { "ready for review" } else { "draft" };
        say(&format!("\n{} #{} ({state}) {}", style("Pull request").bold(), pull_request.number, pull_request.url));
    } else if job.published.pushed.is_some() {
        say(&format!("\n{} {}", style("Branch").bold(), job.branch));
    }
    if let Some(failure) = &job.failure {
        say(&format!("\n{} {}\n{}", style("Failed:").red().bold(), failure.reason, failure.remedy));
    }
    let verdict = job.verdict.map_or_else(|| style("none").yellow().bold(), colour);
    say(&format!("\n{} {verdict}   {} tokens   job {}", style("Verdict:").bold(), job.usage().tokens(), job.id));
}

/// Prints the results of a verification.
pub(crate) fn print_tests(report: &VerifyReport) {
    say(&format!("\n{}", style("Tests").bold()));
    if let Some(command) = &report.command {
        say(&format!("  {} {}", style(command).dim(), style(format!("(isolation: {})", report.isolation)).dim()));
    }
    let line = |name: &str, results: &TestResults| {
        let failed = format!("{} failed", results.failed);
        let failed = if results.failed == 0 { style(failed).dim() } else { style(failed).red() };
        say(&format!("  {name:<7} {} passed, {failed}, {} skipped", results.passed, results.skipped));
    };
    if let Some(before) = &report.before {
        line("before", before);
    }
    if let Some(results) = &report.test_results {
        line("after", results);
    }
    for name in report.fixed_tests.iter().take(5) {
        say(&format!("  {} {name}", style("now passes").green()));
    }
    for name in report.broken_tests.iter().take(5) {
        say(&format!("  {} {name}", style("now fails").red()));
    }
    for name in report.flaky_tests.iter().take(5) {
        say(&format!("  {} {name}", style("flaky").yellow()));
    }
    for name in report.edited_tests.iter().take(5) {
        say(&format!("  {} {name}", style("edited").yellow()));
    }
    if let Some(compared) = report.compared.filter(|compared| !compared.complete) {
        say(&format!("  {} of {} known tests were run", compared.ran, compared.known));
    }
    say(&format!("  {}", report.explanation));
    if report.verdict != Verdict::FixedProven && !report.log_tail.is_empty() {
        say(&format!("  {}", style("end of the output:").dim()));
        let lines: Vec<&str> = report.log_tail.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            say(&format!("  {}", style(printable(line)).dim()));
        }
    }
}

/// Prints what a failed test printed.
pub(crate) fn print_failure(name: &str, text: &str) {
    say(&format!("\n  {}", style(printable(name)).red()));
    text.lines().for_each(|line| say(&format!("    {}", style(printable(line)).dim())));
}

/// Prints a verdict.
pub(crate) fn print_verdict(verdict: Verdict) {
    say(&format!("\n{} {}", style("Verdict:").bold(), colour(verdict)));
}

fn colour(verdict: Verdict) -> console::StyledObject<&'static str> {
    let name = style(verdict.as_str()).bold();
    match verdict {
        Verdict::FixedProven => name.green(),
        verdict if verdict.is_harmful() => name.red(),
        _ => name.yellow(),
    }
}

/// How many lines of a test run's output are shown.
const LOG_LINES: usize = 15;

/// Escapes control characters in untrusted text, because a terminal executes escape sequences.
pub(crate) fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn print_diff(diff: &str) {
    for line in diff.lines() {
        let line = printable(line);
        let shown = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => style(line).bold(),
            [b'+', ..] => style(line).green(),
            [b'-', ..] => style(line).red(),
            [b'@', b'@', ..] => style(line).cyan(),
            _ => style(line),
        };
        say(&format!("{shown}"));
    }
}

/// Returns the exit code for the result of a job.
pub(crate) fn exit_code(job: &Job) -> ExitCode {
    ExitCode::from(match (job.status(), job.verdict) {
        (_, Some(verdict)) if verdict.is_harmful() => 5,
        (JobStatus::Succeeded, Some(Verdict::FixedProven)) => 0,
        (JobStatus::Succeeded, Some(Verdict::AnalysisOnly)) => 4,
        (JobStatus::Succeeded, Some(_)) => 3,
        _ => 1,
    })
}

/// Reads a line from standard input.
pub(crate) fn ask(what: &str) -> std::io::Result<String> {
    use std::io::{BufRead as _, IsTerminal as _};
    if std::io::stdin().is_terminal() {
        note(&format!("Give {what}:"));
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a secret from standard input, one line. On a terminal, it is not shown while it is typed.
pub(crate) fn ask_secret(what: &str) -> std::io::Result<patchwright_core::Secret> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return ask(what).map(patchwright_core::Secret::new);
    }
    note(&format!("Give {what} (it is not shown):"));
    console::Term::stderr().read_secure_line().map(patchwright_core::Secret::new)
}
