use diesel::prelude::*;
use diesel::upsert::excluded;
use patchwright_core::store::{StoreError, Versioned};
use patchwright_domain::job::stage::{StageKind, StageRecord, StageStatus};
use patchwright_domain::job::{JobState, JobTrigger, PlanReview, Priority};
use patchwright_domain::{BranchName, IssueNumber, IssueRef, Job, JobStatus, PlatformId, TrackerRef};
use serde::{Deserialize, Serialize};

use super::{from_json, json, micros, parse, signed, timestamp, unsigned};
use crate::db::{broken, statements};
use crate::schema::{job, job_stage};

const T: &str = "job";

/// What never changes, and what does: an update that names only the columns that can change leaves most indexes alone.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job)]
pub(crate) struct JobRow {
    pub(crate) id: String,
    issue_id: String,
    platform: String,
    repo: String,
    number_api: i64,
    number_display: i64,
    title: String,
    branch: String,
    publish: String,
    created_at: i64,
    /// As in the trigger, in lower case: to count by.
    actor: String,
    /// What it asks of the node that runs it, as words.
    needs: String,
    command: Option<String>,
    rank: i64,
    #[diesel(embed)]
    #[serde(flatten)]
    now: JobChanges,
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = job, treat_none_as_null = true)]
pub(crate) struct JobChanges {
    job_trigger: String,
    base_branch: String,
    status: String,
    not_before: Option<i64>,
    lease: Option<String>,
    lease_until: Option<i64>,
    epoch: i64,
    attempts: i64,
    rounds: i64,
    feedback: Option<String>,
    published: String,
    verdict: Option<String>,
    failure: Option<String>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    updated_at: i64,
    revision: i64,
    follows: Option<String>,
}

/// What stands in `job_trigger`. The tracker and the review lie there too: they are looked at with the job only, and a column more would
/// make diesel build its types for 64 of them.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    #[serde(flatten)]
    trigger: JobTrigger,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracker: Option<TrackerRef>,
    #[serde(default, skip_serializing_if = "PlanReview::is_not_asked")]
    review: PlanReview,
}

#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job_stage)]
pub(crate) struct StageRow {
    pub(crate) job_id: String,
    stage: String,
    status: String,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    report: Option<String>,
    comment: Option<String>,
    reason: Option<String>,
    usage: String,
}

impl JobRow {
    pub(crate) fn new(job: &Job, revision: i64) -> Result<Self, StoreError> {
        Ok(Self {
            id: job.id.to_string(),
            issue_id: job.issue_id.to_string(),
            platform: job.source.platform.as_str().to_owned(),
            repo: job.source.repo.to_string(),
            number_api: signed(job.source.number.api),
            number_display: signed(job.source.number.display),
            title: job.title.clone(),
            branch: job.branch.to_string(),
            publish: json(&job.publish)?,
            created_at: micros(job.created_at),
            actor: job.trigger.actor.to_lowercase(),
            needs: job.needs.to_string(),
            command: job.command.as_ref().map(json).transpose()?,
            rank: job.priority.rank(),
            now: JobChanges::new(job, revision)?,
        })
    }

    pub(crate) fn into_domain(self, stages: Vec<StageRow>) -> Result<Versioned<Job>, StoreError> {
        let id = self.id.as_str();
        let time = |micros: Option<i64>| micros.map(|micros| timestamp(T, id, micros)).transpose();
        let number =
            IssueNumber { api: unsigned(T, id, self.number_api)?, display: unsigned(T, id, self.number_display)? };
        let origin: Origin = from_json(T, id, &self.now.job_trigger)?;
        let job = Job {
            id: parse(T, id, self.id.parse())?,
            issue_id: parse(T, id, self.issue_id.parse())?,
            source: IssueRef {
                platform: PlatformId::new(self.platform.clone()),
                repo: parse(T, id, self.repo.parse())?,
                number,
                tracker: origin.tracker,
            },
            state: self.state()?,
            trigger: origin.trigger,
            review: origin.review,
            follows: self.now.follows.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            branch: parse(T, id, BranchName::parse(&self.branch))?,
            base_branch: parse(T, id, BranchName::parse(&self.now.base_branch))?,
            publish: from_json(T, id, &self.publish)?,
            needs: parse(T, id, self.needs.parse())?,
            priority: Priority::of_rank(self.rank).ok_or_else(|| broken(T, id, "its rank is none"))?,
            command: self.command.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            epoch: unsigned(T, id, self.now.epoch)?,
            attempts: unsigned(T, id, self.now.attempts)?,
            rounds: unsigned(T, id, self.now.rounds)?,
            stages: stage_records(id, stages)?,
            published: from_json(T, id, &self.now.published)?,
            verdict: self.now.verdict.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            failure: self.now.failure.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            created_at: timestamp(T, id, self.created_at)?,
            started_at: time(self.now.started_at)?,
            ended_at: time(self.now.ended_at)?,
            updated_at: timestamp(T, id, self.now.updated_at)?,
            title: self.title,
            feedback: self.now.feedback,
        };
        Ok(Versioned { value: job, revision: self.now.revision })
    }

    /// The columns of a state are there exactly when the status needs them.
    fn state(&self) -> Result<JobState, StoreError> {
        let id = self.id.as_str();
        let status = JobStatus::parse(&self.now.status).ok_or_else(|| broken(T, id, &self.now.status))?;
        match (status, self.now.not_before, &self.now.lease) {
            (JobStatus::Queued, Some(at), None) => Ok(JobState::Queued { not_before: timestamp(T, id, at)? }),
            (JobStatus::Running, None, Some(lease)) => Ok(JobState::Running { lease: from_json(T, id, lease)? }),
            (JobStatus::Succeeded, None, None) => Ok(JobState::Succeeded),
            (JobStatus::Failed, None, None) => Ok(JobState::Failed),
            (JobStatus::Cancelled, None, None) => Ok(JobState::Cancelled),
            _ => Err(broken(T, id, format!("is {status:?}, and its lease or waiting time does not fit"))),
        }
    }
}

impl JobChanges {
    fn new(job: &Job, revision: i64) -> Result<Self, StoreError> {
        let (not_before, lease) = match &job.state {
            JobState::Queued { not_before } => (Some(micros(*not_before)), None),
            JobState::Running { lease } => (None, Some(lease)),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => (None, None),
        };
        Ok(Self {
            job_trigger: json(&Origin {
                trigger: job.trigger.clone(),
                tracker: job.source.tracker.clone(),
                review: job.review.clone(),
            })?,
            base_branch: job.base_branch.to_string(),
            status: job.status().as_str().to_owned(),
            not_before,
            lease_until: lease.map(|lease| micros(lease.until)),
            lease: lease.map(json).transpose()?,
            epoch: signed(job.epoch),
            attempts: i64::from(job.attempts),
            rounds: i64::from(job.rounds),
            feedback: job.feedback.clone(),
            published: json(&job.published)?,
            verdict: job.verdict.as_ref().map(json).transpose()?,
            failure: job.failure.as_ref().map(json).transpose()?,
            started_at: job.started_at.map(micros),
            ended_at: job.ended_at.map(micros),
            updated_at: micros(job.updated_at),
            revision,
            follows: job.follows.as_ref().map(json).transpose()?,
        })
    }
}

impl StageRow {
    pub(crate) fn new(job: &Job, record: &StageRecord) -> Result<Self, StoreError> {
        Ok(Self {
            job_id: job.id.to_string(),
            stage: record.kind.as_str().to_owned(),
            status: record.status.as_str().to_owned(),
            started_at: record.started_at.map(micros),
            ended_at: record.ended_at.map(micros),
            report: record.report.as_ref().map(json).transpose()?,
            comment: record.comment.clone(),
            reason: record.reason.clone(),
            usage: json(&record.usage)?,
        })
    }

    fn into_domain(self, kind: StageKind) -> Result<StageRecord, StoreError> {
        const T: &str = "job_stage";
        let id = format!("{} {}", self.job_id, self.stage);
        let time = |micros: Option<i64>| micros.map(|micros| timestamp(T, &id, micros)).transpose();
        Ok(StageRecord {
            kind,
            status: StageStatus::parse(&self.status).ok_or_else(|| broken(T, &id, &self.status))?,
            started_at: time(self.started_at)?,
            ended_at: time(self.ended_at)?,
            report: self.report.as_deref().map(|text| from_json(T, &id, text)).transpose()?,
            usage: from_json(T, &id, &self.usage)?,
            comment: self.comment,
            reason: self.reason,
        })
    }
}

fn stage_records(id: &str, rows: Vec<StageRow>) -> Result<[StageRecord; 4], StoreError> {
    let mut records = StageKind::ALL.map(StageRecord::pending);
    for row in rows {
        let kind = StageKind::parse(&row.stage).ok_or_else(|| broken("job_stage", id, &row.stage))?;
        records[kind as usize] = row.into_domain(kind)?;
    }
    Ok(records)
}

statements! {
    pub(crate) trait JobStatements {
        fn job_row(conn, id: &str) -> QueryResult<Option<JobRow>> {
            job::table.find(id).select(JobRow::as_select()).first(conn).optional()
        }

        fn job_rows(conn, ids: &[String]) -> QueryResult<Vec<JobRow>> {
            let mut rows: Vec<JobRow> = job::table.filter(job::id.eq_any(ids)).select(JobRow::as_select()).load(conn)?;
            rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
            Ok(rows)
        }

        fn stages_of_jobs(conn, ids: &[&str]) -> QueryResult<Vec<StageRow>> {
            job_stage::table.filter(job_stage::job_id.eq_any(ids)).select(StageRow::as_select()).load(conn)
        }

        fn stage_rows(conn, id: &str) -> QueryResult<Vec<StageRow>> {
            job_stage::table.filter(job_stage::job_id.eq(id)).select(StageRow::as_select()).load(conn)
        }

        fn latest_job_row(conn, issue: &str) -> QueryResult<Option<JobRow>> {
            job::table
                .filter(job::issue_id.eq(issue))
                .order(job::id.desc())
                .select(JobRow::as_select())
                .first(conn)
                .optional()
        }

        fn open_job_rows(conn, issue: &str) -> QueryResult<Vec<JobRow>> {
            job::table
                .filter(job::issue_id.eq(issue))
                .filter(job::status.eq_any([JobStatus::Queued.as_str(), JobStatus::Running.as_str()]))
                .order(job::id)
                .select(JobRow::as_select())
                .load(conn)
        }

        fn job_row_by_branch(conn, platform: &str, repo: &str, branch: &str) -> QueryResult<Option<JobRow>> {
            job::table
                .filter(job::platform.eq(platform))
                .filter(job::repo.eq(repo))
                .filter(job::branch.eq(branch))
                .order(job::id.desc())
                .select(JobRow::as_select())
                .first(conn)
                .optional()
        }

        fn insert_job(conn, row: &JobRow) -> QueryResult<usize> {
            diesel::insert_into(job::table).values(row).execute(conn)
        }

        fn update_job(conn, row: &JobRow, expected: i64) -> QueryResult<usize> {
            diesel::update(job::table.find(&row.id).filter(job::revision.eq(expected))).set(&row.now).execute(conn)
        }

        fn overwrite_job(conn, row: &JobRow) -> QueryResult<usize> {
            // For rows that the transaction holds already.
            diesel::update(job::table.find(&row.id)).set(&row.now).execute(conn)
        }

        fn upsert_stages(conn, rows: &[StageRow]) -> QueryResult<usize> {
            let mut written = 0;
            for row in rows {
                written += diesel::insert_into(job_stage::table)
                    .values(row)
                    .on_conflict((job_stage::job_id, job_stage::stage))
                    .do_update()
                    .set((
                        job_stage::status.eq(excluded(job_stage::status)),
                        job_stage::started_at.eq(excluded(job_stage::started_at)),
                        job_stage::ended_at.eq(excluded(job_stage::ended_at)),
                        job_stage::report.eq(excluded(job_stage::report)),
                        job_stage::comment.eq(excluded(job_stage::comment)),
                        job_stage::reason.eq(excluded(job_stage::reason)),
                        job_stage::usage.eq(excluded(job_stage::usage)),
                    ))
                    .execute(conn)?;
            }
            Ok(written)
        }
    }
}

/// The columns of a table that an update writes, for statements of our own text.
pub(crate) const CHANGES: [&str; 18] = [
    "job_trigger",
    "base_branch",
    "status",
    "not_before",
    "lease",
    "lease_until",
    "epoch",
    "attempts",
    "rounds",
    "feedback",
    "published",
    "verdict",
    "failure",
    "started_at",
    "ended_at",
    "updated_at",
    "revision",
    "follows",
];

/// The same for stages.
pub(crate) const STAGE_CHANGES: [&str; 7] =
    ["status", "started_at", "ended_at", "report", "comment", "reason", "usage"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_that_change_are_named() {
        let row = JobRow::new(&patchwright_testkit::build::job(1), 1).unwrap();
        let value = serde_json::to_value(&row.now).unwrap();
        let columns: std::collections::BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(columns, CHANGES.into());
        let job = patchwright_testkit::build::job(1);
        let value = serde_json::to_value(StageRow::new(&job, &job.stages[0]).unwrap()).unwrap();
        let columns: std::collections::BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(columns.iter().all(|column| ["job_id", "stage"].contains(column) || STAGE_CHANGES.contains(column)));
    }
}
