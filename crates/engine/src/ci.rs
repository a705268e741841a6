//! Reading the forge's own CI after the pull request stands: a second witness, whose word is shown and never taken for a proof.

use std::sync::Arc;

use jiff::SignedDuration;
use patchwright_core::access::RepositoryKey;
use patchwright_core::fault::{Fault, error_chain};
use patchwright_core::forge::{Forge, ForgeError};
use patchwright_core::store::{ClaimedEffect, StoreError};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::job::ci::{CiOutcome, CiReport, CiState};
use patchwright_domain::job::report::ReadyWhen;
use patchwright_domain::{CommitSha, Job, JobEvent};

use crate::Engine;
use crate::outbox::{Delivered, internal};
use crate::start::StartRequest;

/// How long checks may take until they are not read any more.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(6);
/// After this time a commit without checks is one that nobody checks.
const MAX_ABSENCE: SignedDuration = SignedDuration::from_mins(10);
/// After this time checks that have all ended are taken for all checks, if they were the same at the last reading: one that
/// needs another begins after it.
const MIN_AGE: SignedDuration = SignedDuration::from_mins(2);
/// The output of how many failed checks is given to the model.
const MAX_OUTPUTS: usize = 5;

/// What a follow-up is asked for.
const INSTRUCTIONS: &str = "Checks of the pull request fail that did not fail before the change. Make them pass.";

/// What a later job on the same issue does to the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Successor {
    /// There is none, or it ended without a commit.
    None,
    /// It has not ended.
    Runs,
    /// It has pushed a commit of its own.
    Pushed,
}

impl Engine {
    /// Reads what the CI says about a commit and the one before it. Waiting for it holds no lease: the effect is postponed.
    pub(crate) async fn read_ci(
        &self,
        claimed: &ClaimedEffect,
        forge: &Arc<dyn Forge>,
        job: &Job,
        commit: &CommitSha,
        base: &str,
    ) -> Result<Delivered, ForgeError> {
        if job.published.pushed.as_ref() != Some(commit) || job.published.open_pull_request().is_none() {
            return Ok(Delivered::Done);
        }
        let unavailable = |error: StoreError| internal(&job.source.platform, &error);
        let now = self.ports.clock.now();
        let age = now.duration_since(claimed.record.created_at);
        match self.successor(job).await.map_err(unavailable)? {
            // It may push at any time, and then the pull request is no longer about this commit.
            Successor::Runs if age < MAX_AGE => {
                let at = now.saturating_add(interval_at(age)).unwrap_or(now);
                return Ok(Delivered::Again { event: None, at });
            }
            Successor::Runs | Successor::Pushed => return Ok(Delivered::Done),
            Successor::None => {}
        }
        let of_first = self.commit_before(job).await.map_err(unavailable)?;
        let base = of_first.as_ref().map_or(base, CommitSha::as_str);
        let report = match read(forge.as_ref(), job, commit, base).await {
            Ok(Some(report)) => report,
            Ok(None) => return Ok(Delivered::Done),
            // Mostly a permission that the App or the token does not have. The pull request stands without this witness.
            Err(error) if !matches!(error.fault(), Fault::Retry { .. }) => {
                let error = self.ports.tools.redactor().redact(&error_chain(&error));
                tracing::warn!(job_id = %job.id, error, "failed to read the forge's checks of the pull request");
                return Ok(Delivered::Done);
            }
            Err(error) => return Err(error),
        };
        let is_same = job.published.ci.as_ref().is_some_and(|known| known.checks == report.checks);
        let next = next_reading(report.state(), is_same, age);
        let report = CiReport { is_final: next.is_none(), ..report };
        let awaits_ci = job.verified().is_some_and(|found| found.draft_until == Some(ReadyWhen::ProvenAndCi));
        let is_worth_noting = !report.checks.is_empty() || (awaits_ci && report.is_final);
        let event = || Box::new(JobEvent::CiRead(Box::new(report.clone())));
        if let Some(wait) = next {
            let at = now.saturating_add(wait).unwrap_or(now);
            return Ok(Delivered::Again { event: (!is_same && is_worth_noting).then(event), at });
        }
        if report.state() == CiState::Failed {
            self.start_ci_follow_up(forge, job, &report).await?;
        }
        Ok(if is_worth_noting { Delivered::Noted(event()) } else { Delivered::Done })
    }

    /// Returns what a later job on the issue does to the branch of this one.
    pub(crate) async fn successor(&self, job: &Job) -> Result<Successor, StoreError> {
        let latest = self.ports.store.latest_job(job.issue_id).await?.map(|latest| latest.value);
        let Some(latest) = latest.filter(|latest| latest.id != job.id) else { return Ok(Successor::None) };
        Ok(if latest.published.pushed.is_some() && latest.published.pushed != job.published.pushed {
            Successor::Pushed
        } else if latest.status().is_terminal() {
            Successor::None
        } else {
            Successor::Runs
        })
    }

    /// Returns the commit that the work on the branch began from: that of the first of the jobs that follow each other. The
    /// commits between are this server's, whose failures excuse nothing, and the tip of the target branch moves.
    async fn commit_before(&self, job: &Job) -> Result<Option<CommitSha>, StoreError> {
        let mut first = job.clone();
        while let Some(follows) = &first.follows {
            let Some(before) = self.job(follows.job_id).await? else { return Ok(None) };
            first = before;
        }
        Ok(first.fixed().map(|fix| fix.base.clone()))
    }

    /// Starts a follow-up for checks that fail, if an administrator asked for that in this repository. The job is the issue's
    /// latest one only the first time, so that a repetition starts nothing.
    async fn start_ci_follow_up(&self, forge: &Arc<dyn Forge>, job: &Job, report: &CiReport) -> Result<(), ForgeError> {
        let unavailable = |error: StoreError| internal(&job.source.platform, &error);
        let key = RepositoryKey { platform: job.source.platform.clone(), name: job.source.repo.clone() };
        let rounds = self.ports.policies.settings_of(&key).await.map_err(unavailable)?.ci_rounds;
        if rounds == 0 || self.ci_rounds_before(job).await.map_err(unavailable)? >= rounds {
            return Ok(());
        }
        let actor = forge.own_login().await?;
        let mut feedback = String::new();
        for check in report.new_failures().take(MAX_OUTPUTS) {
            let output = forge.ci_output(&job.source.repo, check).await?;
            feedback.push_str(&format!("The check `{}` fails:\n{output}\n", check.name));
        }
        let feedback = self.ports.tools.redactor().redact(&feedback);
        self.commit_ci_follow_up(job, &actor, &feedback).await.map_err(unavailable)
    }

    /// Returns how many follow-ups in a row, up to this job, were started by failing checks.
    async fn ci_rounds_before(&self, job: &Job) -> Result<u32, StoreError> {
        let (mut rounds, mut current) = (0, Some(job.clone()));
        while let Some(job) = current.take().filter(|job| job.trigger.kind == TriggerKind::Ci) {
            rounds += 1;
            if let Some(follows) = &job.follows {
                current = self.job(follows.job_id).await?;
            }
        }
        Ok(rounds)
    }

    async fn commit_ci_follow_up(&self, job: &Job, actor: &str, feedback: &str) -> Result<(), StoreError> {
        let words = Some(INSTRUCTIONS.to_owned());
        let started = self
            .start_follow_up(job, TriggerKind::Ci, actor, words, |request| {
                let request = StartRequest { feedback: Some(feedback.to_owned()), ..request };
                request.by(job.command.clone(), job.needs.clone(), job.priority)
            })
            .await?;
        if let Some(id) = started {
            tracing::info!(job_id = %id, after = %job.id, "failing checks of the forge start a follow-up");
        }
        Ok(())
    }
}

async fn read(forge: &dyn Forge, job: &Job, commit: &CommitSha, base: &str) -> Result<Option<CiReport>, ForgeError> {
    let repo = &job.source.repo;
    let Some(checks) = forge.ci_checks(repo, commit.as_str()).await? else { return Ok(None) };
    // What was before matters for what fails now.
    let has_failed = checks.iter().any(|check| check.outcome == CiOutcome::Failed);
    let before = if has_failed { forge.ci_checks(repo, base).await?.unwrap_or_default() } else { Vec::new() };
    Ok(Some(CiReport::new(commit.clone(), checks, before)))
}

/// Returns when the checks are read again; `None` if this was the last time. `is_same` says that they are as they were.
fn next_reading(state: CiState, is_same: bool, age: SignedDuration) -> Option<SignedDuration> {
    let is_over = match state {
        CiState::Absent => age >= MAX_ABSENCE,
        CiState::Running | CiState::Unfinished => age >= MAX_AGE,
        CiState::Passed | CiState::Failed => is_same && age >= MIN_AGE,
    };
    (!is_over).then(|| interval_at(age))
}

/// Returns how long to wait for the next reading.
fn interval_at(age: SignedDuration) -> SignedDuration {
    if age < SignedDuration::from_mins(10) {
        SignedDuration::from_secs(30)
    } else if age < SignedDuration::from_hours(1) {
        SignedDuration::from_mins(2)
    } else {
        SignedDuration::from_mins(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_until_they_have_ended_and_no_further_one_is_to_be_expected() {
        let minutes = SignedDuration::from_mins;
        assert!(next_reading(CiState::Absent, true, minutes(9)).is_some(), "the CI may be slow to begin");
        assert_eq!(next_reading(CiState::Absent, true, minutes(10)), None);
        assert!(next_reading(CiState::Passed, false, minutes(30)).is_some(), "others may begin now");
        assert!(next_reading(CiState::Passed, true, minutes(1)).is_some());
        assert_eq!(next_reading(CiState::Failed, true, minutes(2)), None);
        assert_eq!(next_reading(CiState::Running, false, minutes(90)), Some(minutes(10)));
        assert_eq!(next_reading(CiState::Running, false, minutes(360)), None);
    }
}
