//! The transitions of a job, and their effects on the forge and the tracker.

use jiff::Timestamp;

use super::ci::{CiReport, CiState};
use super::report::{ReadyWhen, StageReport, Verdict, VerifyReport};
use super::stage::{StageEvent, StageKind, StageStatus};
use super::{
    Failure, FailureOrigin, Inheritance, Job, JobEvent, JobState, JobStatus, JobTransition, Lease, PlanReview,
    PublishMode, PullRequestEnd, UNTIL_APPROVED, WorkerEvent,
};
use crate::node::Needs;
use crate::trigger::MAX_INSTRUCTIONS;
use crate::{CommitSha, Effect, Milestone, Refused, TaskId, Usage};

impl Job {
    /// Returns the job after `event`, and the effects that the transition requires.
    ///
    /// # Errors
    /// [`Refused`] when the status of the job or of the stage does not allow the event, or when the event's epoch is
    /// not the job's: its sender has lost the lease.
    pub fn advance(mut self, event: JobEvent, now: Timestamp) -> Result<(Self, Vec<Effect>), Refused> {
        self.check_epoch(&event)?;
        let effects = self.apply(event, now)?;
        self.updated_at = now;
        let talks = self.publish == PublishMode::PullRequest;
        Ok((self, if talks { effects } else { Vec::new() }))
    }

    /// Returns the effects that are due when the job is accepted.
    pub fn accepted_effects(&self) -> Vec<Effect> {
        if self.publish != PublishMode::PullRequest {
            return Vec::new();
        }
        let mut effects = vec![Effect::Acknowledge];
        effects.extend(self.reached(Milestone::Started));
        effects
    }

    /// Returns the effects of a milestone on a tracker. A forge shows its pull requests without them.
    fn reached(&self, to: Milestone) -> Option<Effect> {
        self.source.tracker.as_ref().map(|_| Effect::Transition { to })
    }

    fn check_epoch(&self, event: &JobEvent) -> Result<(), Refused> {
        match event.epoch() {
            Some(epoch) if epoch != self.epoch => Err(Refused::Stale { epoch, current: self.epoch }),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, event: JobEvent, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        match event {
            JobEvent::Leased { lease } => self.lease(lease, now),
            JobEvent::LeaseExpired => self.release(now),
            JobEvent::Released { .. } => self.return_to_queue(now),
            JobEvent::VerificationRequested { .. } => {
                self.needs = Needs::verification();
                // Testing it is work of its own.
                self.attempts = 0;
                self.release(now)
            }
            JobEvent::Postponed { until, spent, asked, .. } => {
                self.attempts = self.attempts.saturating_sub(u32::from(asked));
                if let Some((stage, usage)) = spent {
                    self.stages[stage as usize].usage += usage;
                }
                self.release(until)
            }
            JobEvent::BaseBranchKnown { branch, .. } => {
                self.status().on(JobTransition::Progress)?;
                self.base_branch = branch;
                Ok(vec![])
            }
            JobEvent::ForkChosen { fork, .. } => {
                self.status().on(JobTransition::Progress)?;
                if self.published.pushed.is_some() {
                    return Err(Refused::Guard("the branch is pushed already"));
                }
                self.published.fork = Some(fork);
                Ok(vec![])
            }
            JobEvent::Progress { event, .. } => self.apply_progress(*event, now),
            JobEvent::Completed { verdict, .. } => self.complete(verdict, now),
            JobEvent::Failed { failure, usage, .. } => self.fail(failure, usage, now),
            JobEvent::MoreAsked { instructions } => self.add_instructions(&instructions),
            JobEvent::PlanApproved { by } => self.approve_plan(by, now),
            JobEvent::PlanRevised { by, words } => self.revise_plan(by, words, now),
            JobEvent::CancelRequested => self.cancel(now),
            JobEvent::RestartRequested => self.restart(now),
            JobEvent::CommentPosted { id, others } => {
                self.published.comment_id = Some(id);
                self.published.others = others;
                Ok(vec![])
            }
            JobEvent::ResultPosted { id } => {
                self.published.result_comment_id = Some(id);
                Ok(vec![])
            }
            JobEvent::PullRequestOpened(pull_request) => {
                let known = self.published.pull_request.replace(pull_request).map(|known| known.number);
                if known != self.published.pull_request.as_ref().map(|opened| opened.number) {
                    self.published.ready = false;
                }
                self.published.problem = None;
                // The comment does not link to it yet.
                let link = self.source.tracker.as_ref().map(|_| Effect::LinkPullRequest);
                self.continue_publishing(std::iter::once(Effect::RefreshProgress).chain(link).collect(), now)
            }
            JobEvent::PullRequestReady => {
                self.published.ready = true;
                // The panel shows it.
                self.continue_publishing(vec![Effect::RefreshProgress], now)
            }
            JobEvent::PullRequestEnded { end } => {
                if let Some(pull_request) = &mut self.published.pull_request {
                    pull_request.end = Some(end);
                }
                let merged = (end == PullRequestEnd::Merged).then(|| self.reached(Milestone::Merged));
                self.continue_publishing(merged.flatten().into_iter().collect(), now)
            }
            JobEvent::CiRead(report) => self.note_ci(*report),
            JobEvent::DeliveryFailed { problem } => self.note_unpublished(problem, now),
        }
    }

    fn apply_progress(&mut self, event: WorkerEvent, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        match event {
            WorkerEvent::BranchInherited { inheritance } => self.inherit(inheritance),
            WorkerEvent::BranchMoved { commit } => {
                self.status().on(JobTransition::Progress)?;
                if let Some(follows) = &mut self.follows {
                    follows.base = Some(commit.clone());
                }
                self.published.pushed = Some(commit);
                Ok(vec![])
            }
            WorkerEvent::StageStarted { stage } => {
                if stage >= StageKind::Fix && self.awaits_approval() {
                    return Err(Refused::Guard("a job whose plan waits for approval cannot continue"));
                }
                self.progress(stage, StageEvent::Start, now)?;
                Ok(vec![Effect::RefreshProgress])
            }
            WorkerEvent::StageSucceeded { report, comment, usage } => self.succeed_stage(report, comment, usage, now),
            WorkerEvent::StageSkipped { stage, reason } => {
                self.progress(stage, StageEvent::Skip, now)?;
                self.stages[stage as usize].reason = Some(reason);
                Ok(vec![])
            }
            WorkerEvent::BranchPushed { commit } => self.push(commit),
            WorkerEvent::SentBack { feedback, usage, report } => self.send_back(feedback, usage, report, now),
            WorkerEvent::BaseMoved => {
                self.progress(StageKind::Fix, StageEvent::Reset, now)?;
                self.progress(StageKind::Verify, StageEvent::Reset, now)?;
                Ok(vec![Effect::RefreshProgress])
            }
        }
    }

    fn lease(&mut self, lease: Lease, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Lease)?;
        self.epoch += 1;
        self.attempts += 1;
        self.started_at.get_or_insert(now);
        let mut lease = lease;
        if self.epoch == 1 {
            // The first task was created before its lease.
            lease.task_id = TaskId::first_of(self.id);
        }
        self.state = JobState::Running { lease };
        Ok(vec![])
    }

    fn return_to_queue(&mut self, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        // A shutdown of the server does not count as an attempt.
        self.attempts = self.attempts.saturating_sub(1);
        self.release(now)
    }

    fn progress(&mut self, stage: StageKind, event: StageEvent, now: Timestamp) -> Result<(), Refused> {
        self.status().on(JobTransition::Progress)?;
        self.stages[stage as usize].on(event, now)
    }

    fn inherit(&mut self, inheritance: Inheritance) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Progress)?;
        let Some(follows) = &mut self.follows else {
            return Err(Refused::Guard("a job that is the first on its branch cannot inherit a branch"));
        };
        follows.inherited = true;
        follows.base = inheritance.base;
        follows.earlier = inheritance.earlier;
        self.published.pushed = inheritance.pushed;
        self.published.fork = inheritance.fork;
        self.published.pull_request = inheritance.pull_request;
        self.published.ready = inheritance.ready && self.published.pull_request.is_some();
        if let Some(branch) = inheritance.base_branch {
            self.base_branch = branch;
        }
        Ok(vec![])
    }

    fn add_instructions(&mut self, more: &str) -> Result<Vec<Effect>, Refused> {
        if !self.is_untouched() {
            return Err(Refused::Guard("a job that has started cannot take more instructions"));
        }
        self.append_instructions(more);
        Ok(vec![])
    }

    fn succeed_stage(
        &mut self,
        report: StageReport,
        comment: String,
        usage: Usage,
        now: Timestamp,
    ) -> Result<Vec<Effect>, Refused> {
        let kind = report.kind();
        // Where nothing ran, nothing succeeded.
        let not_run = match &report {
            StageReport::Verify(report) if report.command.is_none() => Some(report.explanation.clone()),
            _ => None,
        };
        let event = if not_run.is_some() { StageEvent::Skip } else { StageEvent::Succeed };
        self.progress(kind, event, now)?;
        let record = &mut self.stages[kind as usize];
        record.report = Some(report);
        record.comment = Some(comment);
        record.reason = not_run;
        record.usage += usage;
        Ok(vec![Effect::RefreshProgress])
    }

    fn push(&mut self, commit: CommitSha) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Progress)?;
        self.published.pushed = Some(commit);
        let first = self.published.open_pull_request().is_none();
        if first {
            // One that people closed is no place for what follows: the job waits for a new one.
            self.published.pull_request = None;
            self.published.ready = false;
        }
        Ok(vec![if first { Effect::OpenPullRequest } else { Effect::RefreshProgress }])
    }

    fn send_back(
        &mut self,
        feedback: String,
        usage: Usage,
        report: Option<Box<VerifyReport>>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, Refused> {
        self.progress(StageKind::Fix, StageEvent::Reset, now)?;
        self.progress(StageKind::Verify, StageEvent::Reset, now)?;
        let record = &mut self.stages[StageKind::Verify as usize];
        record.usage += usage;
        // Kept until the next one: if the job ends before, this is what is known about the commit on the branch.
        record.report = report.map(StageReport::Verify).or(record.report.take());
        self.rounds += 1;
        self.feedback = Some(feedback);
        Ok(vec![Effect::RefreshProgress])
    }

    /// A job whose pull request cannot be opened is no success, whatever its tests showed. One whose pull request stays a
    /// draft is published.
    fn note_unpublished(&mut self, problem: String, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.published.problem = Some(problem);
        match self.unpublished().filter(|_| self.status() == JobStatus::Publishing) {
            Some(failure) => {
                self.status().on(JobTransition::Unpublish)?;
                Ok(self.end_failed(failure, now))
            }
            None => self.continue_publishing(vec![], now),
        }
    }

    /// Returns why the job is not published: it pushed a branch, and its pull request could not be opened.
    fn unpublished(&self) -> Option<Failure> {
        let published = &self.published;
        let problem = published.problem.clone().filter(|_| self.publish == PublishMode::PullRequest)?;
        let is_missing = published.pushed.is_some() && published.pull_request.is_none();
        is_missing.then(|| Failure {
            stage: None,
            reason: format!("the branch was pushed, and its pull request could not be opened: {problem}"),
            remedy: "Correct the problem on the forge, then retry the job: only the publishing is repeated.".to_owned(),
            origin: FailureOrigin::Forge,
        })
    }

    fn complete(&mut self, verdict: Verdict, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        if let Some(failure) = self.unpublished() {
            return self.fail(failure, Usage::default(), now);
        }
        self.status().on(JobTransition::Complete)?;
        self.state = JobState::Publishing;
        self.verdict = Some(verdict);
        let mark = self.awaits_ready_mark().then_some(Effect::MarkReady);
        self.continue_publishing(std::iter::once(Effect::RefreshProgress).chain(mark).collect(), now)
    }

    /// Ends the job if the forge shows its whole result. `effects` are those of the event that may have been the last.
    fn continue_publishing(&mut self, mut effects: Vec<Effect>, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        if self.status() != JobStatus::Publishing || !self.is_published() {
            return Ok(effects);
        }
        self.status().on(JobTransition::Publish)?;
        self.state = JobState::Succeeded;
        self.ended_at = Some(now);
        // The texts still say that it is being published.
        if !effects.contains(&Effect::RefreshProgress) {
            effects.push(Effect::RefreshProgress);
        }
        effects.extend(self.reached(Milestone::InReview));
        effects.push(Effect::PostResult);
        effects.extend(self.ci_to_read());
        Ok(effects)
    }

    /// Returns the effect that reads the CI, if there is a commit on an open pull request.
    fn ci_to_read(&self) -> Option<Effect> {
        let commit = self.published.pushed.clone()?;
        self.published.open_pull_request()?;
        // The commit before a follow-up is one of this server, whose failures excuse nothing.
        let of_fix = self.fixed().filter(|_| self.follows.is_none()).map(|fix| fix.base.to_string());
        let base = of_fix.unwrap_or_else(|| self.base_branch.to_string());
        Some(Effect::ReadCi { commit, base })
    }

    /// Takes in what the CI says about the commit on the branch. A pull request that only waits for it becomes ready.
    fn note_ci(&mut self, report: CiReport) -> Result<Vec<Effect>, Refused> {
        let is_current = self.published.pushed.as_ref() == Some(&report.commit);
        if self.status() != JobStatus::Succeeded || !is_current || self.published.open_pull_request().is_none() {
            return Err(Refused::Guard("a job without an open pull request at that commit has no checks"));
        }
        if self.published.ci.as_ref() == Some(&report) {
            return Ok(vec![]);
        }
        let awaits_ci = self.verified().is_some_and(|verified| verified.draft_until == Some(ReadyWhen::ProvenAndCi));
        // Checks that have passed so far are not all: others may not have begun.
        let is_due = awaits_ci && report.is_final && report.state() == CiState::Passed && !self.published.ready;
        self.published.ci = Some(report);
        let mark = is_due.then_some(Effect::MarkReady);
        Ok(mark.into_iter().chain([Effect::RefreshProgress]).collect())
    }

    /// Returns whether everything that the job publishes is on the forge.
    fn is_published(&self) -> bool {
        let is_missing = self.published.pushed.is_some() && self.published.pull_request.is_none();
        self.publish != PublishMode::PullRequest || !(is_missing || self.awaits_ready_mark())
    }

    /// Returns whether the pull request is going to be marked ready for review: a proven fix is, unless people were faster
    /// or the forge has refused.
    fn awaits_ready_mark(&self) -> bool {
        let published = &self.published;
        let has_ended = published.pull_request.as_ref().is_some_and(|pull_request| pull_request.end.is_some());
        let stays_draft = self.verified().is_some_and(|report| report.draft_until.is_some());
        let is_due = published.pushed.is_some() && self.verdict == Some(Verdict::FixedProven) && !stays_draft;
        is_due && !has_ended && !published.ready && published.problem.is_none()
    }

    fn cancel(&mut self, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Cancel)?;
        self.state = JobState::Cancelled;
        self.ended_at = Some(now);
        Ok(vec![Effect::RefreshProgress, Effect::PostResult])
    }

    /// Waiting for approval takes any time; a lease that expires meanwhile is no failed attempt.
    fn approve_plan(&mut self, by: String, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        if !self.awaits_approval() {
            return Err(Refused::Guard("a job without a plan that waits cannot have its plan approved"));
        }
        self.review = PlanReview::Approved { by };
        // If its worker has not released it yet, it continues when the worker does.
        if let JobState::Queued { not_before } = &mut self.state {
            *not_before = now;
        }
        Ok(vec![Effect::RefreshProgress])
    }

    /// The plan is made again. What somebody wants holds for the fix too.
    fn revise_plan(&mut self, by: String, words: String, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        if !self.awaits_approval() {
            return Err(Refused::Guard("a job without a plan that waits cannot have its plan made again"));
        }
        self.append_instructions(&words);
        self.review = PlanReview::Revised { by, words };
        let record = &mut self.stages[StageKind::Propose as usize];
        record.on(StageEvent::Reset, now)?;
        (record.report, record.comment) = (None, None);
        if let JobState::Queued { not_before } = &mut self.state {
            *not_before = now;
        }
        Ok(vec![Effect::RefreshProgress])
    }

    fn append_instructions(&mut self, more: &str) {
        let known = self.trigger.instructions.take();
        let all = known.into_iter().chain([more.to_owned()]).collect::<Vec<_>>().join("\n\n");
        // What was said last counts.
        let excess = all.chars().count().saturating_sub(MAX_INSTRUCTIONS);
        self.trigger.instructions = Some(all.chars().skip(excess).collect());
    }

    fn release(&mut self, not_before: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Release)?;
        let not_before = if self.awaits_approval() {
            self.attempts = 0;
            UNTIL_APPROVED
        } else {
            not_before
        };
        self.state = JobState::Queued { not_before };
        Ok(vec![])
    }

    fn fail(&mut self, failure: Failure, usage: Usage, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Fail)?;
        if let Some(kind) = failure.stage {
            let record = &mut self.stages[kind as usize];
            record.usage += usage;
            if record.status == StageStatus::Running {
                record.on(StageEvent::Fail, now)?;
                record.reason = Some(failure.reason.clone());
            }
        }
        let effects = self.end_failed(failure, now);
        // What tests showed about the commit on the branch holds, whatever the job failed of.
        self.verdict = self.report_on_branch().map(|report| report.verdict);
        Ok(effects)
    }

    fn end_failed(&mut self, failure: Failure, now: Timestamp) -> Vec<Effect> {
        self.state = JobState::Failed;
        self.failure = Some(failure);
        self.ended_at = Some(now);
        vec![Effect::RefreshProgress, Effect::PostResult]
    }

    fn restart(&mut self, now: Timestamp) -> Result<Vec<Effect>, Refused> {
        self.status().on(JobTransition::Restart)?;
        // A change that fails the tests is complete but wrong: the restart repeats the fix.
        let disproved = self.verdict.is_some_and(Verdict::is_harmful);
        // A change that a third-party node made is made anew by whoever gets the job.
        let needs_before = self.fixed().filter(|_| disproved).and_then(|fix| fix.fetched_for.clone());
        let is_fetched = needs_before.is_some();
        self.needs = needs_before.unwrap_or_else(|| self.needs.clone());
        for record in &mut self.stages {
            let again = is_fetched || (disproved && record.kind >= StageKind::Fix);
            if record.status != StageStatus::Succeeded || again {
                record.on(StageEvent::Reset, now)?;
                record.reason = None;
            }
        }
        self.rounds = 0;
        self.published.problem = None;
        self.state = JobState::Queued { not_before: now };
        self.attempts = 0;
        self.failure = None;
        self.verdict = None;
        self.ended_at = None;
        // The next end gets its own comment.
        self.published.result_comment_id = None;
        let is_missing = self.published.pushed.is_some() && self.published.pull_request.is_none();
        let open = is_missing.then_some(Effect::OpenPullRequest);
        Ok(open.into_iter().chain([Effect::RefreshProgress]).collect())
    }
}
