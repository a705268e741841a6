//! Jobs: a row of the job and one of each stage that has begun.

mod stage;
mod statements;

use diesel::prelude::*;
use patchwright_core::store::{StoreError, Versioned};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::StageKind;
use patchwright_domain::job::{Failure, JobState, JobSummary, Lease, Priority, StageSummary};
use patchwright_domain::{BranchName, IssueNumber, IssueRef, Job, JobStatus, PlatformId, TaskId};
use serde::{Deserialize, Serialize};

use super::{from_json, from_optional_json, json, micros, optional_json, parse, signed, timestamp, unsigned};
use crate::db::corrupt_row;
use crate::schema::job;
pub(crate) use stage::{STAGE_CHANGES, StageRow, StageSummaryRow};
use stage::{stage_records, stage_summaries};
pub(crate) use statements::{JobStatements, assignments};

const T: &str = "job";

/// A whole row.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job)]
pub(crate) struct JobRow {
    #[diesel(embed)]
    #[serde(flatten)]
    pub(crate) summary: JobSummaryRow,
    /// Not in the summary: the output of failed tests.
    rework: Option<String>,
}

/// The columns of a summary: those that never change, and those that do. An update that names only the columns that can
/// change leaves most indexes alone.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job)]
pub(crate) struct JobSummaryRow {
    pub(crate) id: String,
    issue_id: String,
    platform: String,
    repo: String,
    number_api: i64,
    number_display: i64,
    tracker: Option<String>,
    title: String,
    branch: String,
    publish: String,
    created_at: i64,
    /// The actor of the trigger in lower case, to count by.
    actor: String,
    command: Option<String>,
    rank: i64,
    /// The end of the lease, which renewals set on their own.
    lease_until: Option<i64>,
    #[diesel(embed)]
    #[serde(flatten)]
    now: JobChanges,
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = job, treat_none_as_null = true)]
pub(crate) struct JobChanges {
    job_trigger: String,
    base_branch: String,
    review: Option<String>,
    status: String,
    not_before: Option<i64>,
    lease: Option<String>,
    epoch: i64,
    attempts: i64,
    published: String,
    outcome: Option<String>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    updated_at: i64,
    revision: i64,
    follows: Option<String>,
    /// [`patchwright_domain::node::Needs`] as words.
    needs: String,
}

/// The column `lease`: the holder of the lease. Its expiry is the column `lease_until`.
#[derive(Serialize, Deserialize)]
struct LeaseHolder {
    holder: String,
    task_id: TaskId,
}

/// The column `rework`; `NULL` before the first.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Rework {
    rounds: u32,
    feedback: Option<String>,
}

/// The column `outcome`; `NULL` for a job that has neither.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Outcome {
    verdict: Option<Verdict>,
    failure: Option<Failure>,
}

impl JobRow {
    pub(crate) fn new(job: &Job, revision: i64) -> Result<Self, StoreError> {
        let rework = Rework { rounds: job.rounds, feedback: job.feedback.clone() };
        let summary = JobSummaryRow {
            id: job.id.to_string(),
            issue_id: job.issue_id.to_string(),
            platform: job.source.platform.as_str().to_owned(),
            repo: job.source.repo.to_string(),
            number_api: signed(job.source.number.api),
            number_display: signed(job.source.number.display),
            tracker: optional_json(job.source.tracker.as_ref())?,
            title: job.title.clone(),
            branch: job.branch.to_string(),
            publish: json(&job.publish)?,
            created_at: micros(job.created_at),
            actor: job.trigger.actor.to_lowercase(),
            command: optional_json(job.command.as_ref())?,
            rank: job.priority.rank(),
            lease_until: lease_of(job).map(|lease| micros(lease.until)),
            now: JobChanges::new(job, revision)?,
        };
        Ok(Self { summary, rework: optional_json(Some(&rework).filter(|rework| **rework != Rework::default()))? })
    }

    pub(crate) fn id(&self) -> &str {
        &self.summary.id
    }

    pub(crate) fn into_domain(self, stages: Vec<StageRow>) -> Result<Versioned<Job>, StoreError> {
        let stages = stage_records(stages)?;
        let id = self.id();
        let rework: Rework = from_optional_json(T, id, self.rework.as_deref())?.unwrap_or_default();
        let (epoch, revision) = (unsigned(T, id, self.summary.now.epoch)?, self.summary.now.revision);
        let summary = self.summary.into_domain_with(&stages.each_ref().map(StageSummary::from))?;
        let job = Job {
            id: summary.id,
            issue_id: summary.issue_id,
            source: summary.source,
            title: summary.title,
            trigger: summary.trigger,
            follows: summary.follows,
            branch: summary.branch,
            base_branch: summary.base_branch,
            publish: summary.publish,
            needs: summary.needs,
            command: summary.command,
            priority: summary.priority,
            review: summary.review,
            state: summary.state,
            epoch,
            attempts: summary.attempts,
            rounds: rework.rounds,
            feedback: rework.feedback,
            stages,
            published: summary.published,
            verdict: summary.verdict,
            failure: summary.failure,
            created_at: summary.created_at,
            started_at: summary.started_at,
            ended_at: summary.ended_at,
            updated_at: summary.updated_at,
        };
        Ok(Versioned { value: job, revision })
    }
}

impl JobSummaryRow {
    pub(crate) fn into_domain(self, stages: Vec<StageSummaryRow>) -> Result<JobSummary, StoreError> {
        let stages = stage_summaries(stages)?;
        self.into_domain_with(&stages)
    }

    fn into_domain_with(self, stages: &[StageSummary; StageKind::ALL.len()]) -> Result<JobSummary, StoreError> {
        let id = self.id.as_str();
        let time = |micros: Option<i64>| micros.map(|micros| timestamp(T, id, micros)).transpose();
        let number =
            IssueNumber { api: unsigned(T, id, self.number_api)?, display: unsigned(T, id, self.number_display)? };
        let outcome: Outcome = from_optional_json(T, id, self.now.outcome.as_deref())?.unwrap_or_default();
        Ok(JobSummary {
            id: parse(T, id, self.id.parse())?,
            issue_id: parse(T, id, self.issue_id.parse())?,
            source: IssueRef {
                platform: PlatformId::new(self.platform.clone()),
                repo: parse(T, id, self.repo.parse())?,
                number,
                tracker: from_optional_json(T, id, self.tracker.as_deref())?,
            },
            state: self.state()?,
            trigger: from_json(T, id, &self.now.job_trigger)?,
            follows: from_optional_json(T, id, self.now.follows.as_deref())?,
            branch: parse(T, id, BranchName::parse(&self.branch))?,
            base_branch: parse(T, id, BranchName::parse(&self.now.base_branch))?,
            publish: from_json(T, id, &self.publish)?,
            needs: parse(T, id, self.now.needs.parse())?,
            command: from_optional_json(T, id, self.command.as_deref())?,
            priority: Priority::of_rank(self.rank).ok_or_else(|| corrupt_row(T, id, "its rank is none"))?,
            review: from_optional_json(T, id, self.now.review.as_deref())?.unwrap_or_default(),
            attempts: unsigned(T, id, self.now.attempts)?,
            stages: *stages,
            published: from_json(T, id, &self.now.published)?,
            verdict: outcome.verdict,
            failure: outcome.failure,
            created_at: timestamp(T, id, self.created_at)?,
            started_at: time(self.now.started_at)?,
            ended_at: time(self.now.ended_at)?,
            updated_at: timestamp(T, id, self.now.updated_at)?,
            title: self.title,
        })
    }

    /// Reads the state. Its columns must be set exactly when the status needs them.
    fn state(&self) -> Result<JobState, StoreError> {
        let id = self.id.as_str();
        let now = &self.now;
        let status = JobStatus::parse(&now.status).ok_or_else(|| corrupt_row(T, id, &now.status))?;
        match (status, now.not_before, &now.lease, self.lease_until) {
            (JobStatus::Queued, Some(at), None, None) => Ok(JobState::Queued { not_before: timestamp(T, id, at)? }),
            (JobStatus::Running, None, Some(lease), Some(until)) => {
                let LeaseHolder { holder, task_id } = from_json(T, id, lease)?;
                Ok(JobState::Running { lease: Lease { holder, task_id, until: timestamp(T, id, until)? } })
            }
            (JobStatus::Publishing, None, None, None) => Ok(JobState::Publishing),
            (JobStatus::Succeeded, None, None, None) => Ok(JobState::Succeeded),
            (JobStatus::Failed, None, None, None) => Ok(JobState::Failed),
            (JobStatus::Cancelled, None, None, None) => Ok(JobState::Cancelled),
            _ => Err(corrupt_row(T, id, format!("is {status:?}, and its lease or waiting time does not fit"))),
        }
    }
}

impl JobChanges {
    fn new(job: &Job, revision: i64) -> Result<Self, StoreError> {
        let holder = |lease: &Lease| LeaseHolder { holder: lease.holder.clone(), task_id: lease.task_id };
        let outcome = Outcome { verdict: job.verdict, failure: job.failure.clone() };
        Ok(Self {
            job_trigger: json(&job.trigger)?,
            base_branch: job.base_branch.to_string(),
            review: optional_json(Some(&job.review).filter(|review| !review.is_not_asked()))?,
            status: job.status().as_str().to_owned(),
            not_before: match &job.state {
                JobState::Queued { not_before } => Some(micros(*not_before)),
                _ => None,
            },
            lease: optional_json(lease_of(job).map(holder).as_ref())?,
            epoch: signed(job.epoch),
            attempts: i64::from(job.attempts),
            published: json(&job.published)?,
            outcome: optional_json(Some(&outcome).filter(|outcome| **outcome != Outcome::default()))?,
            started_at: job.started_at.map(micros),
            ended_at: job.ended_at.map(micros),
            updated_at: micros(job.updated_at),
            revision,
            follows: optional_json(job.follows.as_ref())?,
            needs: job.needs.to_string(),
        })
    }
}

const fn lease_of(job: &Job) -> Option<&Lease> {
    match &job.state {
        JobState::Running { lease } => Some(lease),
        _ => None,
    }
}

/// The columns that an update writes, for SQL text. `lease_until` has an expression of its own.
pub(crate) const CHANGES: [&str; 17] = [
    "job_trigger",
    "base_branch",
    "review",
    "status",
    "not_before",
    "lease",
    "epoch",
    "attempts",
    "published",
    "outcome",
    "started_at",
    "ended_at",
    "updated_at",
    "revision",
    "follows",
    "needs",
    "rework",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use patchwright_testkit::build;

    use super::*;

    fn columns(row: &impl Serialize) -> BTreeSet<String> {
        serde_json::to_value(row).unwrap().as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn an_update_names_every_column_that_can_change() {
        let row = JobRow::new(&build::job(1), 1).unwrap();
        let mut expected = columns(&row.summary.now);
        expected.insert("rework".to_owned());
        assert_eq!(expected, CHANGES.map(str::to_owned).into());
    }

    #[test]
    fn an_update_names_every_column_of_a_stage_but_its_key() {
        let job = build::job(1);
        let row = StageRow::new(&job, &job.stages[0]).unwrap();
        let mut columns = columns(&row);
        assert!(columns.remove("job_id") && columns.remove("stage"));
        assert_eq!(columns, STAGE_CHANGES.map(str::to_owned).into());
    }
}
