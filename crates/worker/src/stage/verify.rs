//! The stage `verify`: builds and tests before and after the change, and claims only what the results show.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use patchwright_core::conversation::Attempt;
use patchwright_core::outgoing_text::{code_span, neutralise, shorten};
use patchwright_core::sandbox::SandboxError;
use patchwright_domain::job::report::{FixReport, StageReport, Verdict, VerifyReport};
use patchwright_domain::{CommitSha, RepoPath};

use super::Outcome;
use crate::context::{StageContext, StageError};
use crate::dialogue::is_better;
use crate::verification::{Baseline, Side, TreeSource, Verification, VerificationRequest, verify};

/// How much of the output is sent to the model, in characters, if there is none of a single test.
const FEEDBACK_LOG: usize = 4_000;
/// The output of how many failed tests is sent to the model.
const FEEDBACK_TESTS: usize = 5;
/// The file in which a repository describes its suites.
const SETTINGS_FILE: &str = ".patchwright.toml";
/// The longest such file, in bytes.
const MAX_SETTINGS: usize = 64 * 1024;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    let Some(fix) = context.job.fixed() else {
        return Ok(Outcome::Skipped { reason: "there is nothing to verify".to_owned() });
    };
    // The model had nothing to add: the same tests on the same commit would say the same, and cost the time of another round.
    if let Some(known) = context.job.verified().filter(|_| context.sent_back == Some(&fix.commit)) {
        return Ok(Outcome::done(StageReport::Verify(Box::new(known.clone())), comment(known)));
    }
    let earlier = context.dialogue.state().await.earlier.clone();
    // Taken again after a later attempt that was not better. The same attempt, which a crash interrupts, is tested again.
    if let Some(earlier) = earlier.filter(|earlier| earlier.fix.commit == fix.commit && earlier.fix.round < fix.round) {
        let known = earlier.verification;
        let comment = comment(&known);
        return Ok(Outcome::done(StageReport::Verify(Box::new(known)), comment));
    }
    let source = JobTrees { context, fix };
    let request = VerificationRequest {
        changed: fix.changed_files.iter().map(|file| file.file.clone()).collect(),
        folder: context.scratch.to_owned(),
        settings: read_settings(context, &fix.changes_applied).await?,
        test_command: context.policy.test_command.clone(),
        grants: context.policy.grants.clone(),
        repository: name_repository(context),
        local_folder: context.tools.local_folder.clone(),
        baseline: known_base(context, &fix.base),
        timeout: context.tools.verify_timeout,
        near_only: false,
        reproduction: fix.reproduction.clone(),
    };
    let sandbox = context.tools.sandbox.as_ref();
    let mut found = verify(&source, sandbox, &request, context.progress, context.cancel).await?;
    let again =
        (context.llm.is_some() || context.job.command.is_some()) && !context.job.is_rebase() && !fix.is_fetched();
    let (feedback, found_no_fault) = (describe_failures(&found), found.shows_no_fault);
    // Before they are shortened: a secret that is cut in two is known to nobody.
    found.failures =
        found.failures.into_iter().map(|(name, text)| (name, context.tools.redactor.redact(&text))).collect();
    let mut report = found.into_report(Some(fix.commit.clone()), sandbox.isolation());
    let asked = context.policy.ready_when;
    report.draft_until = (report.verdict == Verdict::FixedProven && !asked.accepts(report.proof)).then_some(asked);
    report = context.tools.redactor.redact_verification(report);
    let must_be_revised = report.verdict.is_harmful() || report.verdict == Verdict::StillFailing || found_no_fault;
    if must_be_revised && again {
        let feedback = context.tools.redactor.redact(&feedback);
        if context.job.rounds + 1 < context.policy.fix_attempts {
            context.dialogue.end_attempt(fix, &report).await;
            return Ok(Outcome::SendBack { feedback, report: Box::new(report) });
        }
        let attempt = Attempt { fix: fix.clone(), verification: report.clone() };
        let earlier = context.dialogue.state().await.earlier.clone();
        if earlier.is_some_and(|earlier| is_better(&earlier, &attempt)) {
            // The stage `fix` finds that there is no attempt left, and takes the earlier one.
            return Ok(Outcome::SendBack { feedback, report: Box::new(report) });
        }
    }
    let comment = comment(&report);
    Ok(Outcome::done(StageReport::Verify(Box::new(report)), comment))
}

/// Returns what tells the repository of a job from all others.
pub(crate) fn name_repository(context: &StageContext<'_>) -> String {
    format!("{}:{}", context.job.source.platform, context.job.source.repo)
}

/// Returns the base, unless its environment is a user's own, which may change at any time.
pub(crate) fn known_base(context: &StageContext<'_>, base: &CommitSha) -> Option<Baseline> {
    let commit = format!("{}@{base}", name_repository(context));
    context.tools.local_folder.is_none().then(|| Baseline { commit, known: Arc::clone(&context.tools.baselines) })
}

/// The base and the commit of a fix.
struct JobTrees<'a> {
    context: &'a StageContext<'a>,
    fix: &'a FixReport,
}

#[async_trait]
impl TreeSource for JobTrees<'_> {
    async fn export(&self, side: Side, folder: PathBuf) -> Result<(), SandboxError> {
        let commit = match side {
            Side::Base => &self.fix.base,
            Side::Head => &self.fix.commit,
        };
        let exported = self.context.workspace.export(commit, &folder).await;
        exported.map_err(SandboxError::internal)
    }
}

/// Reads the settings at the base: a change cannot write them for itself.
pub(crate) async fn read_settings(
    context: &StageContext<'_>,
    changed: &[RepoPath],
) -> Result<Option<String>, StageError> {
    let path = RepoPath::parse(SETTINGS_FILE).expect("our own paths are plain");
    if changed.contains(&path) {
        return Ok(None);
    }
    let bytes = context.workspace.read(&path).await?.filter(|bytes| bytes.len() <= MAX_SETTINGS);
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// Returns the message for the model about a fix that failed the verification: what the failed tests printed, or else the end
/// of the output.
pub(crate) fn describe_failures(found: &Verification) -> String {
    let mut out = format!("{}.\n", found.explanation);
    if found.shows_no_fault {
        out.push_str("Change them so that they fail on the code as it was, and pass with the fix.\n");
        return out;
    }
    for name in found.broken.iter().take(20) {
        out.push_str(&format!("- fails now: {name}\n"));
    }
    if found.verdict == Verdict::StillFailing {
        found.failing.iter().take(20).for_each(|name| out.push_str(&format!("- still fails: {name}\n")));
    }
    if found.failures.is_empty() {
        let from = found.log_tail.char_indices().rev().nth(FEEDBACK_LOG).map_or(0, |(at, _)| at);
        out.push_str(&format!("The end of the output:\n{}", &found.log_tail[from..]));
    }
    for (name, text) in found.failures.iter().take(FEEDBACK_TESTS) {
        out.push_str(&format!("\n{name}:\n{text}\n"));
    }
    out
}

fn comment(report: &VerifyReport) -> String {
    let mut out = format!("{}.", neutralise(&report.explanation));
    for name in report.fixed_tests.iter().take(5) {
        out.push_str(&format!("\n- now passes: {}", code_span(&shorten(name, 120))));
    }
    for name in report.broken_tests.iter().take(5) {
        out.push_str(&format!("\n- now fails: {}", code_span(&shorten(name, 120))));
    }
    for name in report.edited_tests.iter().take(5) {
        out.push_str(&format!("\n- edited: {}", code_span(&shorten(name, 120))));
    }
    out
}
