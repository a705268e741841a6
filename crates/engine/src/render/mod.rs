//! Renders comments and the pull request's panel, as pure functions of the job, in the language of its request.

mod replies;
mod template;
mod texts;

use patchwright_core::outgoing_text::{
    OutgoingText, code_block, code_span, neutralise, neutralise_line, neutralise_plain, shorten, table_code_span,
};
use patchwright_core::translation::to_chinese;
use patchwright_domain::job::ci::CiOutcome;
use patchwright_domain::job::report::{Proof, TestResults, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{Failure, PullRequestEnd};
use patchwright_domain::trigger::{Language, Translated};
use patchwright_domain::{Job, JobStatus};
use patchwright_worker::located_files;

/// The longest output in a comment, in characters.
const LOG_IN_TEXT: usize = 3_000;
/// The longest name of a test in a comment, in characters.
const TEST_NAME: usize = 160;
/// The longest script in a description, in characters.
const SCRIPT_CHARS: usize = 4_000;
/// The longest problem of a second reader in a description, in characters.
const REVIEW_CHARS: usize = 600;
/// How many checks of the forge's CI are listed.
const CHECKS_IN_TEXT: usize = 20;

/// Renders texts in one language.
#[derive(Debug, Clone)]
pub struct Renderer {
    /// The name that people mention.
    pub app_name: String,
    /// The address of the server's pages, if people can reach them.
    pub public_url: Option<String>,
    /// The language.
    pub language: Language,
    /// Whether the model's answers are a recording.
    pub is_recorded: bool,
}

/// The parts that replace placeholders.
type Parts<'p> = &'p [(&'p str, &'p OutgoingText)];

impl Renderer {
    pub(crate) fn fill(&self, text: Translated, parts: Parts<'_>) -> OutgoingText {
        OutgoingText::fill(text.get(self.language), parts)
    }

    /// Does the same for a text with the placeholder `{app}`.
    pub(crate) fn fill_app(&self, text: Translated, parts: Parts<'_>) -> OutgoingText {
        let app = neutralise_line(&self.app_name, 60);
        let all: Vec<(&str, &OutgoingText)> = parts.iter().copied().chain([("app", &app)]).collect();
        self.fill(text, &all)
    }

    pub(crate) fn base_url(&self) -> Option<OutgoingText> {
        self.public_url.as_deref().map(|url| OutgoingText::url(url.trim_end_matches('/')))
    }

    /// Renders the progress comment on the issue.
    pub fn progress_comment(&self, job: &Job) -> OutgoingText {
        let headline = match job.status() {
            _ if job.awaits_approval() => texts::PLAN_WAITS,
            JobStatus::Queued if job.attempts > 0 => texts::CONTINUES,
            JobStatus::Queued if job.follows.is_some() => texts::QUEUED_BEHIND,
            JobStatus::Queued => texts::QUEUED,
            JobStatus::Running => texts::RUNNING,
            JobStatus::Publishing => texts::PUBLISHING,
            JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled => texts::ENDED,
        };
        let mut out = self.fill_app(headline, &[("outcome", &self.outcome(job))]);
        out.push_own("\n\n");
        out.push(&self.stage_table(job));
        if let Some(pull_request) = &job.published.pull_request {
            // A plain issue number refers to the forge only.
            let url = OutgoingText::url(&pull_request.url);
            let place = match &job.source.tracker {
                Some(_) => OutgoingText::fill(" ({url})", &[("url", &url)]),
                None => OutgoingText::default(),
            };
            out.push(&self.fill(texts::PULL_REQUEST, &[("number", &pull_request.number.into()), ("place", &place)]));
        }
        for other in &job.published.others {
            let (title, author) = (neutralise_line(&other.title, 120), neutralise_line(&other.author, 60));
            let (number, url) = (other.number.into(), OutgoingText::url(&other.url));
            let parts: Parts<'_> = &[("number", &number), ("url", &url), ("title", &title), ("author", &author)];
            out.push(&self.fill(texts::OTHER, parts));
        }
        if job.awaits_approval() {
            out.push(&self.plan_to_approve(job));
        }
        out.push(&self.footer(job));
        out
    }

    /// Renders the plan that waits for approval, and how to approve it.
    fn plan_to_approve(&self, job: &Job) -> OutgoingText {
        let id = job.id.into();
        let page = match self.base_url() {
            Some(url) => self.fill(texts::ON_ITS_PAGE, &[("url", &url), ("job", &id)]),
            None => self.fill(texts::WITH_THE_COMMAND, &[("job", &id)]),
        };
        let mut out = self.plan(job);
        out.push(&self.fill_app(texts::APPROVE_IT, &[("page", &page)]));
        out
    }

    /// Renders the plan, if there is one.
    fn plan(&self, job: &Job) -> OutgoingText {
        let Some(proposed) = job.proposed() else { return OutgoingText::default() };
        let plan = &proposed.plan;
        let mut out = self.fill(texts::CAUSE, &[("cause", &neutralise(&plan.root_cause))]);
        out.push(&self.fill(texts::PLANNED, &[("strategy", &neutralise(&plan.fix_strategy))]));
        let changes = plan.changes.iter().map(|change| (&change.file, &change.description));
        for (file, what) in changes.chain(plan.tests.iter().map(|test| (&test.file, &test.what))) {
            let (file, what) = (code_span(file.as_str()), neutralise(what));
            out.push(&OutgoingText::fill("- {file}: {what}\n", &[("file", &file), ("what", &what)]));
        }
        if !plan.risks.is_empty() {
            out.push_own(texts::RISKS.get(self.language));
            for risk in plan.risks.iter().take(8) {
                out.push(&OutgoingText::fill("- {risk}\n", &[("risk", &neutralise(risk))]));
            }
        }
        out
    }

    /// Renders the pull request's text: the live panel first, then the findings, the plan, the changes and the tests.
    pub fn pull_request_body(&self, job: &Job, issue_url: &str) -> OutgoingText {
        let mut out = if is_analysis_only(job) {
            self.fill(texts::ANALYSIS_ONLY, &[])
        } else if job.status() == JobStatus::Running {
            self.fill_app(texts::PANEL_IS_LIVE, &[])
        } else {
            OutgoingText::fill("> {outcome}\n\n", &[("outcome", &self.outcome(job))])
        };
        if self.is_recorded {
            out.push(&self.fill(texts::RECORDED, &[]));
        }
        if let Some(follows) = &job.follows {
            let words = job.trigger.instructions.as_deref().map(|text| neutralise_line(text, 300)).unwrap_or_default();
            let actor = neutralise_line(&job.trigger.actor, 60);
            let parts: Parts<'_> = &[("job", &follows.job_id.into()), ("actor", &actor), ("words", &words)];
            out.push(&self.fill(texts::FOLLOW_UP, parts));
        }
        // A closing keyword only for a fix that tests show: merging anything else must not close the issue.
        let by_script = job.verified().is_some_and(|report| report.proof == Some(Proof::Reproduction));
        let is_proven = job.status() == JobStatus::Succeeded && job.verdict == Some(Verdict::FixedProven) && !by_script;
        let relation = if is_proven && job.source.tracker.is_none() { texts::CLOSES } else { texts::BELONGS_TO };
        let (issue, url) = (OutgoingText::issue_name(&job.source), OutgoingText::url(issue_url));
        let relation = self.fill(relation, &[("issue", &issue), ("url", &url)]);
        match job.fixed().and_then(|fix| fix.form.template.as_deref()) {
            Some(template) => out.push(&self.fill_template(job, template, &relation)),
            None => out.push(&relation),
        }
        out.push(&self.stage_table(job));
        out.push(&self.test_table(job));
        out.push(&self.review(job));
        out.push(&self.ci_table(job));
        out.push(&self.plan(job));
        out.push(&located_files(job, self.language));
        out.push(&self.footer(job));
        out
    }

    /// Renders the note about a follow-up that ended without adding to the branch.
    pub(crate) fn ended_follow_up(&self, job: &Job) -> OutgoingText {
        let is_cancelled = job.status() == JobStatus::Cancelled;
        let text = if is_cancelled { texts::FOLLOW_UP_CANCELLED } else { texts::FOLLOW_UP_FAILED };
        self.fill(text, &[("job", &job.id.into()), ("actor", &neutralise_line(&job.trigger.actor, 60))])
    }

    /// Renders the comment about the job's result.
    pub fn result_comment(&self, job: &Job) -> OutgoingText {
        let mut out = self.fill_app(texts::ENDED, &[("outcome", &self.outcome(job))]);
        out.push_own("\n");
        if let Some(pull_request) = job.published.current_pull_request() {
            let state = match pull_request.end {
                Some(PullRequestEnd::Merged) => texts::PULL_REQUEST_MERGED,
                Some(PullRequestEnd::Closed) => texts::PULL_REQUEST_CLOSED,
                None if pull_request.draft => texts::PULL_REQUEST_DRAFT,
                None => texts::PULL_REQUEST_READY,
            };
            let url = OutgoingText::url(&pull_request.url);
            out.push(&self.fill(state, &[("number", &pull_request.number.into()), ("url", &url)]));
        }
        if job.published.problem.is_some() {
            out.push_own(texts::NOT_ALL_PUBLISHED.get(self.language));
        }
        if let Some(failure) = &job.failure {
            out.push(&self.failure(failure));
            if job.verified().is_none() {
                out.push(&located_files(job, self.language));
            }
        }
        out.push(&self.test_table(job));
        if let Some(report) = job
            .report_on_branch()
            .filter(|report| report.verdict != Verdict::FixedProven && !report.log_tail.is_empty())
        {
            let from = report.log_tail.char_indices().rev().nth(LOG_IN_TEXT).map_or(0, |(at, _)| at);
            out.push(&self.fill(texts::OUTPUT_END, &[("log", &code_block(&report.log_tail[from..], "text"))]));
        }
        if job.status() == JobStatus::Succeeded && job.verdict == Some(Verdict::AnalysisOnly) {
            out.push(&located_files(job, self.language));
        }
        if matches!(job.status(), JobStatus::Failed | JobStatus::Cancelled) {
            out.push(&self.fill_app(texts::TRY_AGAIN, &[]));
        }
        out.push(&self.footer(job));
        out
    }

    /// Renders what everybody may read about a failure: our own words about what was asked for, and of all else only which
    /// part failed.
    fn failure(&self, failure: &Failure) -> OutgoingText {
        let (reason, remedy) = match texts::public_failure(failure.origin) {
            Some((reason, remedy)) => (self.fill(reason, &[]), self.fill(remedy, &[])),
            None => (neutralise(&self.translate(&failure.reason)), neutralise(&self.translate(&failure.remedy))),
        };
        let (text, stage) = match failure.stage {
            Some(stage) => (texts::ERROR_IN_STAGE, OutgoingText::own(stage.as_str())),
            None => (texts::ERROR, OutgoingText::default()),
        };
        self.fill(text, &[("stage", &stage), ("reason", &reason), ("remedy", &remedy)])
    }

    /// Renders the reply to `status`.
    pub(crate) fn status(&self, job: Option<&Job>) -> OutgoingText {
        job.map_or_else(|| self.fill_app(texts::NO_JOB, &[]), |job| self.progress_comment(job))
    }

    /// Renders the comment about too many requests, which is posted at most once an hour.
    pub(crate) fn too_many(&self, per_hour: u32) -> OutgoingText {
        self.fill(texts::TOO_MANY, &[("count", &u64::from(per_hour).into())])
    }

    /// Returns one sentence about the result. It claims success only if tests showed it.
    fn outcome(&self, job: &Job) -> OutgoingText {
        let why = job.report_on_branch().map(|report| neutralise(&self.translate(&report.explanation)));
        let text = match (job.status(), job.verdict) {
            (JobStatus::Cancelled, _) => texts::WAS_CANCELLED,
            (JobStatus::Failed, Some(verdict)) if verdict.is_harmful() => texts::TESTS_FAIL,
            (JobStatus::Failed, Some(_)) if job.published.problem.is_some() => texts::NOT_PUBLISHED,
            (JobStatus::Failed, _) => texts::FAILED,
            (_, Some(verdict)) => texts::outcome(verdict),
            (_, None) => texts::IN_PROGRESS,
        };
        self.fill(text, &[("why", &why.unwrap_or_default())])
    }

    /// Returns a sentence that was stored in English in the language of the text, as far as it is known.
    fn translate(&self, english: &str) -> String {
        let chinese = (self.language == Language::Chinese).then(|| to_chinese(english)).flatten();
        chinese.unwrap_or_else(|| english.to_owned())
    }

    /// Renders the repository's template for pull requests with what is known about the change, above what is always shown.
    fn fill_template(&self, job: &Job, form: &str, relation: &OutgoingText) -> OutgoingText {
        let plan = job.proposed().map(|proposed| &proposed.plan);
        let text = plan.map(|plan| format!("{}\n\n{}", plan.root_cause, plan.fix_strategy)).unwrap_or_default();
        let tests =
            if job.report_on_branch().is_some() { self.fill(texts::SEE_TESTS, &[]) } else { OutgoingText::default() };
        let answers = template::Answers { description: neutralise(text.trim()), issue: relation.clone(), tests };
        let mut out = template::fill(form, &answers);
        if !out.as_str().contains(relation.as_str()) {
            out.push_own("\n");
            out.push(relation);
        }
        out.push_own("\n---\n\n");
        out
    }

    fn stage_table(&self, job: &Job) -> OutgoingText {
        let mut out = self.fill(texts::STAGES, &[]);
        for record in &job.stages {
            let is_retried = record.status == StageStatus::Pending && record.report.is_some();
            let state = if is_retried { texts::RETRYING } else { texts::stage(record.status) };
            let reason = record.reason.as_ref().filter(|_| record.status == StageStatus::Skipped);
            let reason = reason.map_or_else(OutgoingText::default, |text| {
                OutgoingText::fill(": {reason}", &[("reason", &neutralise_line(&self.translate(text), 80))])
            });
            let timed = record.seconds().filter(|_| record.status != StageStatus::Skipped);
            let calls = record.usage.calls;
            let tokens = if calls == 0 { OutgoingText::default() } else { record.usage.tokens().into() };
            out.push(&OutgoingText::fill(
                "| {stage} | {state}{reason} | {time} | {tokens} |\n",
                &[
                    ("stage", &OutgoingText::own(record.kind.as_str())),
                    ("state", &self.fill(state, &[])),
                    ("reason", &reason),
                    ("time", &timed.map_or_else(OutgoingText::default, |time| neutralise(&seconds(time)))),
                    ("tokens", &tokens),
                ],
            ));
        }
        out
    }

    fn test_table(&self, job: &Job) -> OutgoingText {
        let Some(report) = job.report_on_branch() else { return OutgoingText::default() };
        let Some(command) = &report.command else {
            let why = neutralise(&self.translate(&report.explanation));
            return self.fill(texts::TESTS_NOT_RUN, &[("why", &why)]);
        };
        let isolation = neutralise_line(&report.isolation, 60);
        let mut out = self.fill(texts::TESTS, &[("command", &code_span(command)), ("isolation", &isolation)]);
        let runs = [(texts::BEFORE, &report.before), (texts::AFTER, &report.test_results)];
        for (name, results) in runs.into_iter().filter_map(|(name, run)| Some((name, run.as_ref()?))) {
            out.push(&test_row(&self.fill(name, &[]), results));
        }
        if let Some(proof) = report.proof {
            out.push(&self.fill(texts::proof(proof), &[]));
            if let (Proof::Reproduction, Some(script)) = (proof, job.fixed().and_then(|fix| fix.reproduction.as_ref()))
            {
                let script = code_block(&shorten(&script.script, SCRIPT_CHARS), "");
                out.push(&self.fill(texts::SCRIPT, &[("script", &script)]));
            }
        }
        if let Some(asked) = report.draft_until {
            out.push(&self.fill(texts::stays_draft(asked), &[]));
        }
        if let Some(compared) = report.compared.filter(|compared| !compared.complete) {
            let (ran, known) = (u64::from(compared.ran).into(), u64::from(compared.known).into());
            out.push(&self.fill(texts::COMPARED, &[("ran", &ran), ("known", &known)]));
        }
        let lists = [
            (texts::NOW_PASSES, &report.fixed_tests),
            (texts::NOW_FAILS, &report.broken_tests),
            (texts::FLAKY, &report.flaky_tests),
            (texts::EDITED, &report.edited_tests),
        ];
        for (text, names) in lists {
            for name in names.iter().take(10) {
                out.push(&self.fill(text, &[("test", &code_span(&shorten(name, TEST_NAME)))]));
            }
        }
        out
    }

    /// Renders what a second reader says about the change that is on the branch.
    fn review(&self, job: &Job) -> OutgoingText {
        let Some(review) = job.fixed().and_then(|fix| fix.review.as_ref()) else { return OutgoingText::default() };
        let mut out = self.fill(texts::REVIEW, &[("model", &neutralise_line(&review.model, 80))]);
        if review.problems.is_empty() {
            out.push(&self.fill(texts::REVIEW_CLEAN, &[]));
        }
        for problem in &review.problems {
            let text = if problem.blocking { texts::REVIEW_BLOCKING } else { texts::REVIEW_REMARK };
            let file = if problem.file.is_empty() { "–" } else { &problem.file };
            let problem = neutralise_line(&problem.problem, REVIEW_CHARS);
            out.push(&self.fill(text, &[("file", &code_span(file)), ("problem", &problem)]));
        }
        out
    }

    /// Renders what the forge's own CI says. It is no part of the verdict.
    fn ci_table(&self, job: &Job) -> OutgoingText {
        let Some(report) = &job.published.ci else { return OutgoingText::default() };
        let mut out = self.fill(texts::ci(report.state()), &[]);
        if report.checks.is_empty() {
            return out;
        }
        out.push(&self.fill(texts::CI_CHECKS, &[]));
        // What fails comes first: of many checks only some are shown.
        let (failed, others): (Vec<_>, Vec<_>) = report.checks.iter().partition(|check| check.is_new_failure());
        for check in failed.into_iter().chain(others).take(CHECKS_IN_TEXT) {
            let outcome = |outcome: Option<CiOutcome>| {
                outcome.map_or_else(OutgoingText::default, |outcome| self.fill(texts::ci_outcome(outcome), &[]))
            };
            out.push(&OutgoingText::fill(
                "| {check} | {before} | {after} |\n",
                &[
                    ("check", &table_code_span(&shorten(&check.name, TEST_NAME))),
                    ("before", &outcome(check.before)),
                    ("after", &outcome(Some(check.outcome))),
                ],
            ));
        }
        out
    }

    fn footer(&self, job: &Job) -> OutgoingText {
        let (usage, id) = (job.usage(), job.id.into());
        let mut parts = vec![match self.base_url() {
            Some(url) => self.fill(texts::LINKED_JOB, &[("job", &id), ("url", &url)]),
            None => self.fill(texts::JOB, &[("job", &id)]),
        }];
        if usage.calls > 0 {
            let (tokens, calls) = (usage.tokens().into(), u64::from(usage.calls).into());
            parts.push(self.fill(texts::USAGE, &[("tokens", &tokens), ("calls", &calls)]));
        }
        if usage.cost_micros > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a price is shown with four digits")]
            let cost = neutralise(&format!("{:.4}", usage.cost_micros as f64 / 1e6));
            parts.push(self.fill(texts::COST, &[("cost", &cost)]));
        }
        OutgoingText::fill("\n<sub>{parts}</sub>\n", &[("parts", &OutgoingText::join(&parts, " · "))])
    }
}

/// Renders the pull request's title: the issue's number and title (`docs/requirements.md#r293`), or the key in brackets, which
/// links it to the issue in Jira. Tools and people sort by it, so it is English in every language.
pub fn pull_request_title(job: &Job) -> OutgoingText {
    // "Fix #12" would close the issue when the pull request is squashed into one commit of this title, proven or not.
    let (title, issue) = (neutralise_plain(&job.title, 180), OutgoingText::issue_name(&job.source));
    let is_conventional = job.fixed().is_some_and(|fix| fix.form.is_conventional);
    let template = match (&job.source.tracker, is_analysis_only(job)) {
        (_, true) => "Analysis of {issue}: {title}",
        (_, false) if is_conventional => "fix: {title} ({issue})",
        (Some(_), false) => "[{issue}] {title}",
        (None, false) => "Fix for {issue}: {title}",
    };
    OutgoingText::fill(template, &[("issue", &issue), ("title", &title)])
}

/// Returns whether the job changes nothing because there is no model. A third-party node skips the fix too, and the stages
/// before it: its own program made the change.
fn is_analysis_only(job: &Job) -> bool {
    let is_skipped = |kind| job.stage(kind).status == StageStatus::Skipped;
    job.verdict == Some(Verdict::AnalysisOnly)
        || (job.verdict.is_none() && is_skipped(StageKind::Fix) && !is_skipped(StageKind::Locate))
}

fn test_row(name: &OutgoingText, results: &TestResults) -> OutgoingText {
    let count = |count: u32| OutgoingText::from(u64::from(count));
    OutgoingText::fill(
        "| {name} | {passed} | {failed} | {skipped} | {total} |\n",
        &[
            ("name", name),
            ("passed", &count(results.passed)),
            ("failed", &count(results.failed)),
            ("skipped", &count(results.skipped)),
            ("total", &count(results.total)),
        ],
    )
}

fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_has_the_same_placeholders_in_both_languages() {
        let sources = [include_str!("texts.rs"), include_str!("replies.rs"), include_str!("../jira/messages.rs")];
        for text in sources.iter().flat_map(|source| translated(source)) {
            let [english, chinese] = text.map(|text| {
                let mut names: Vec<_> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
                names.sort_unstable();
                (names.join(" "), text)
            });
            assert_eq!(english.0, chinese.0, "{}", english.1);
        }
    }

    /// Returns the pairs of literals of a source file: the arguments of `text(` and the fields of `Translated`.
    fn translated(source: &str) -> Vec<[String; 2]> {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let marked = code.replace("english:", "text(").replace("chinese:", "");
        let literals = |part: &str| part.split('"').skip(1).step_by(2).take(2).map(str::to_owned).collect::<Vec<_>>();
        marked.split("text(").skip(1).filter_map(|part| literals(part).try_into().ok()).collect()
    }
}
