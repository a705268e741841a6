use diesel::prelude::*;
use patchwright_core::store::StoreError;
use patchwright_domain::Job;
use patchwright_domain::job::StageSummary;
use patchwright_domain::job::report::StageReport;
use patchwright_domain::job::stage::{StageKind, StageRecord, StageStatus};
use serde::Serialize;

use crate::db::corrupt_row;
use crate::row::{from_json, json, micros, timestamp};
use crate::schema::job_stage;

const T: &str = "job_stage";

#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job_stage)]
pub(crate) struct StageRow {
    #[diesel(embed)]
    #[serde(flatten)]
    pub(crate) summary: StageSummaryRow,
    report: Option<String>,
    comment: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = job_stage)]
pub(crate) struct StageSummaryRow {
    pub(crate) job_id: String,
    stage: String,
    status: String,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    usage: String,
}

impl StageRow {
    pub(crate) fn new(job: &Job, record: &StageRecord) -> Result<Self, StoreError> {
        let summary = StageSummaryRow {
            job_id: job.id.to_string(),
            stage: record.kind.as_str().to_owned(),
            status: record.status.as_str().to_owned(),
            started_at: record.started_at.map(micros),
            ended_at: record.ended_at.map(micros),
            usage: json(&record.usage)?,
        };
        Ok(Self {
            summary,
            report: record.report.as_ref().map(report_json).transpose()?,
            comment: record.comment.clone(),
            reason: record.reason.clone(),
        })
    }

    fn into_domain(self) -> Result<StageRecord, StoreError> {
        let id = self.summary.id();
        let StageSummary { kind, status, started_at, ended_at, usage } = self.summary.into_domain()?;
        let report = self.report.as_deref().map(|text| report_from_json(kind, &id, text)).transpose()?;
        Ok(StageRecord {
            kind,
            status,
            started_at,
            ended_at,
            report,
            comment: self.comment,
            reason: self.reason,
            usage,
        })
    }
}

impl StageSummaryRow {
    fn id(&self) -> String {
        format!("{} {}", self.job_id, self.stage)
    }

    fn into_domain(self) -> Result<StageSummary, StoreError> {
        let id = self.id();
        let time = |micros: Option<i64>| micros.map(|micros| timestamp(T, &id, micros)).transpose();
        Ok(StageSummary {
            kind: StageKind::parse(&self.stage).ok_or_else(|| corrupt_row(T, &id, "there is no such stage"))?,
            status: StageStatus::parse(&self.status).ok_or_else(|| corrupt_row(T, &id, &self.status))?,
            started_at: time(self.started_at)?,
            ended_at: time(self.ended_at)?,
            usage: from_json(T, &id, &self.usage)?,
        })
    }
}

/// A report is stored without the name of its stage: that is the row's key.
fn report_json(report: &StageReport) -> Result<String, StoreError> {
    match report {
        StageReport::Locate(report) => json(report),
        StageReport::Propose(report) => json(report),
        StageReport::Fix(report) => json(report),
        StageReport::Verify(report) => json(report),
    }
}

fn report_from_json(kind: StageKind, id: &str, text: &str) -> Result<StageReport, StoreError> {
    Ok(match kind {
        StageKind::Locate => StageReport::Locate(from_json(T, id, text)?),
        StageKind::Propose => StageReport::Propose(from_json(T, id, text)?),
        StageKind::Fix => StageReport::Fix(from_json(T, id, text)?),
        StageKind::Verify => StageReport::Verify(Box::new(from_json(T, id, text)?)),
    })
}

/// The stages of one job. A stage without a row has not begun.
pub(super) fn stage_records(rows: Vec<StageRow>) -> Result<[StageRecord; StageKind::ALL.len()], StoreError> {
    let mut records = StageKind::ALL.map(StageRecord::pending);
    for row in rows {
        let record = row.into_domain()?;
        let place = record.kind as usize;
        records[place] = record;
    }
    Ok(records)
}

/// The same without reports.
pub(super) fn stage_summaries(rows: Vec<StageSummaryRow>) -> Result<[StageSummary; StageKind::ALL.len()], StoreError> {
    let mut summaries = StageKind::ALL.map(StageSummary::pending);
    for row in rows {
        let summary = row.into_domain()?;
        summaries[summary.kind as usize] = summary;
    }
    Ok(summaries)
}

/// The columns that an update of a stage writes, for SQL text.
pub(crate) const STAGE_CHANGES: [&str; 7] =
    ["status", "started_at", "ended_at", "usage", "report", "comment", "reason"];
