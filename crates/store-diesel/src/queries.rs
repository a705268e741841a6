//! The query port.

use std::collections::HashMap;

use async_trait::async_trait;
use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::access::Visibility;
use patchwright_core::query::{IssueFilter, JobFilter, Queries, QueueDepth, QueueLag, TaskFilter, WaitingJobs};
use patchwright_core::store::{DeliveryRecord, StoreError};
use patchwright_domain::job::{JobSummary, JobTrigger, UNTIL_APPROVED};
use patchwright_domain::node::WorkCommand;
use patchwright_domain::{EffectKind, Issue, IssueId, IssueStatus, JobId, JobStatus, Task, TaskId};

use crate::DieselStore;
use crate::access::{limits, visible_issues};
use crate::db::{corrupt_row, in_read_tx, in_snapshot, statements, store_error};
use crate::row::delivery::{DeliveryRow, DeliveryStatements};
use crate::row::effect::WAITING;
use crate::row::issue::IssueStatements;
use crate::row::job::{JobStatements, JobSummaryRow, StageSummaryRow};
use crate::row::request::REQUESTED;
use crate::row::task::{TaskRow, TaskStatements};
use crate::row::{from_json, micros, parse, timestamp, unsigned};
use crate::schema::{delivery, effect, issue, jira_event, job, trigger_request};

/// The rows of a summary: of the job and of its stages.
type SummaryRows = (JobSummaryRow, Vec<StageSummaryRow>);

statements! {
    trait QueryStatements {
        fn job_page(conn, filter: &JobFilter) -> QueryResult<Vec<SummaryRows>> {
            let mut query = job::table.order(job::id.desc()).limit(i64::from(filter.limit)).into_boxed();
            if let Some(status) = filter.status {
                query = query.filter(job::status.eq(status.as_str()));
            }
            if let Some(repository) = &filter.repository {
                query = query.filter(job::repo.eq(repository));
            }
            if let Some(issue) = filter.issue {
                query = query.filter(job::issue_id.eq(issue.to_string()));
            }
            if let Some(verdict) = filter.verdict {
                // The only quotation marks in the column without a backslash before them are those of its own JSON.
                query = query.filter(job::outcome.like(format!("%\"verdict\":\"{}\"%", verdict.as_str())));
            }
            if let Some(actor) = &filter.actor {
                query = query.filter(job::actor.eq(actor));
            }
            if let Some((user, repositories)) = limits(&filter.visible) {
                let visible = issue::table.filter(visible_issues(user, repositories)).select(issue::id);
                query = query.filter(job::issue_id.eq_any(visible));
            }
            if let Some(before) = filter.before {
                query = query.filter(job::id.lt(before.to_string()));
            }
            let rows = query.select(JobSummaryRow::as_select()).load(conn)?;
            conn.with_stage_summaries(rows)
        }

        fn with_stage_summaries(conn, rows: Vec<JobSummaryRow>) -> QueryResult<Vec<SummaryRows>> {
            let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            let mut of_job: HashMap<String, Vec<StageSummaryRow>> = HashMap::new();
            for stage in conn.stage_summaries_of_jobs(&ids)? {
                of_job.entry(stage.job_id.clone()).or_default().push(stage);
            }
            let with_stages = |row: JobSummaryRow| {
                let stages = of_job.remove(&row.id).unwrap_or_default();
                (row, stages)
            };
            Ok(rows.into_iter().map(with_stages).collect())
        }

        fn requested_work(conn, ids: &[String]) -> QueryResult<Vec<(String, String, Option<String>)>> {
            job::table.filter(job::id.eq_any(ids)).select((job::id, job::job_trigger, job::command)).load(conn)
        }

        fn latest_jobs_of(conn, issues: &[String]) -> QueryResult<Vec<SummaryRows>> {
            let of_issues = job::table.filter(job::issue_id.eq_any(issues)).group_by(job::issue_id);
            let newest: Vec<Option<String>> = of_issues.select(max(job::id)).load(conn)?;
            let rows = job::table
                .filter(job::id.eq_any(newest.into_iter().flatten()))
                .select(JobSummaryRow::as_select())
                .load(conn)?;
            conn.with_stage_summaries(rows)
        }

        fn select_changed_jobs(conn, since: i64, limit: u16) -> QueryResult<Vec<SummaryRows>> {
            let rows = job::table
                .filter(job::updated_at.ge(since))
                .order((job::updated_at, job::id))
                .limit(i64::from(limit))
                .select(JobSummaryRow::as_select())
                .load(conn)?;
            conn.with_stage_summaries(rows)
        }

        fn position(conn, id: &str) -> QueryResult<Option<i64>> {
            let waiting = job::status.eq(JobStatus::Queued.as_str());
            let own: Option<(String, i64, Option<i64>)> =
                job::table.find(id).filter(waiting).select((job::repo, job::rank, job::not_before)).first(conn).optional()?;
            let Some((repo, rank, Some(not_before))) = own else { return Ok(None) };
            // A job whose plan waits for approval has no position.
            let held = micros(UNTIL_APPROVED);
            if not_before >= held {
                return Ok(None);
            }
            let before = job::not_before.lt(not_before).or(job::not_before.eq(not_before).and(job::id.le(id)));
            let before = job::rank.lt(rank).or(job::rank.eq(rank).and(before));
            job::table.filter(waiting).filter(job::repo.eq(repo)).filter(before).count().get_result(conn).map(Some)
        }

        fn waiting_jobs(conn, limit: u16, visible: &Visibility) -> QueryResult<Vec<SummaryRows>> {
            let mut query = job::table
                .filter(job::status.eq(JobStatus::Queued.as_str()))
                .filter(job::not_before.lt(micros(UNTIL_APPROVED)))
                .order((job::rank, job::not_before, job::id))
                .limit(i64::from(limit))
                .into_boxed();
            if let Some((user, repositories)) = limits(visible) {
                let visible = issue::table.filter(visible_issues(user, repositories)).select(issue::id);
                query = query.filter(job::issue_id.eq_any(visible));
            }
            let rows = query.select(JobSummaryRow::as_select()).load(conn)?;
            conn.with_stage_summaries(rows)
        }

        fn queue_positions(conn, limit: u16, visible: &Visibility) -> QueryResult<Vec<(SummaryRows, i64)>> {
            let jobs = conn.waiting_jobs(limit, visible)?;
            let with_position = |job: SummaryRows| {
                let position = conn.position(&job.0.id)?.unwrap_or_default();
                Ok((job, position))
            };
            jobs.into_iter().map(with_position).collect()
        }

        fn counts(conn, visible: &Visibility) -> QueryResult<Vec<(String, i64)>> {
            if let Some((user, repositories)) = limits(visible) {
                let shown = visible_issues(user, repositories);
                let counts = (issue::status, diesel::dsl::count_star());
                return issue::table.filter(shown).group_by(issue::status).select(counts).load(conn);
            }
            issue::table.group_by(issue::status).select((issue::status, diesel::dsl::count_star())).load(conn)
        }

        fn newest_delivery(conn) -> QueryResult<Option<(String, String, i64)>> {
            delivery::table
                .order(delivery::received_at.desc())
                .select((delivery::platform, delivery::event_type, delivery::received_at))
                .first(conn)
                .optional()
        }

        fn oldest_effect(conn, now: i64) -> QueryResult<Option<i64>> {
            let is_late = effect::not_before.le(now).or(effect::attempts.gt(0));
            effect::table
                .filter(effect::status.eq(WAITING).and(effect::kind.ne(EffectKind::ReadCi.as_str())))
                .filter(is_late)
                .select(min(effect::created_at))
                .first(conn)
        }

        fn longest_queues(conn, limit: u16) -> QueryResult<Vec<(String, i64, Option<i64>)>> {
            job::table
                .filter(job::status.eq(JobStatus::Queued.as_str()))
                .group_by(job::repo)
                .select((job::repo, count_star(), min(job::created_at)))
                .order((count_star().desc(), job::repo))
                .limit(i64::from(limit))
                .load(conn)
        }

        fn depth(conn) -> QueryResult<[i64; 5]> {
            let jobs = |status: JobStatus| job::table.filter(job::status.eq(status.as_str())).count();
            // An event becomes a job before it is settled, and a request with it: in this order each is counted at least
            // once.
            let events = jira_event::table.filter(jira_event::status.eq(WAITING)).count().get_result(conn)?;
            let open = trigger_request::table.filter(trigger_request::status.eq(REQUESTED));
            let requests = open.count().get_result(conn)?;
            Ok([
                jobs(JobStatus::Queued).get_result(conn)?,
                jobs(JobStatus::Running).get_result(conn)?,
                // Checks of a forge that have not ended are no work that is late.
                effect::table
                    .filter(effect::status.eq(WAITING).and(effect::kind.ne(EffectKind::ReadCi.as_str())))
                    .count()
                    .get_result(conn)?,
                events,
                requests,
            ])
        }
    }
}

fn summaries(rows: Vec<SummaryRows>) -> Result<Vec<JobSummary>, StoreError> {
    rows.into_iter().map(|(row, stages)| row.into_domain(stages)).collect()
}

#[async_trait]
impl Queries for DieselStore {
    async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobSummary>, StoreError> {
        self.blocking(move |db| summaries(in_snapshot!(db, conn => conn.job_page(&filter))?)).await
    }

    async fn jobs_changed(&self, since: i64, limit: u16) -> Result<Vec<JobSummary>, StoreError> {
        self.blocking(move |db| summaries(in_snapshot!(db, conn => conn.select_changed_jobs(since, limit))?)).await
    }

    async fn latest_jobs(&self, issues: &[IssueId]) -> Result<HashMap<IssueId, JobSummary>, StoreError> {
        let ids: Vec<String> = issues.iter().map(ToString::to_string).collect();
        self.blocking(move |db| {
            let jobs = summaries(in_snapshot!(db, conn => conn.latest_jobs_of(&ids))?)?;
            Ok(jobs.into_iter().map(|job| (job.issue_id, job)).collect())
        })
        .await
    }

    async fn issues(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError> {
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.issue_page(&filter).map_err(store_error))?;
            rows.into_iter().map(|row| row.into_domain().map(|issue| issue.value)).collect()
        })
        .await
    }

    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<Task>, StoreError> {
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.task_page(&filter).map_err(store_error))?;
            rows.into_iter().map(TaskRow::into_domain).collect()
        })
        .await
    }

    async fn requested_work(&self, jobs: &[JobId]) -> Result<HashMap<JobId, String>, StoreError> {
        let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.requested_work(&ids).map_err(store_error))?;
            let mut requested = HashMap::new();
            for (id, trigger, command) in rows {
                let trigger: JobTrigger = from_json("job", &id, &trigger)?;
                let command: Option<WorkCommand> = command.map(|text| from_json("job", &id, &text)).transpose()?;
                let work = command.map(|command| command.to_string()).or(trigger.instructions);
                if let Some(work) = work {
                    requested.insert(parse("job", &id, id.parse())?, work);
                }
            }
            Ok(requested)
        })
        .await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.task_row(&id).map_err(store_error))?;
            row.map(TaskRow::into_domain).transpose()
        })
        .await
    }

    async fn delivery(&self, job: JobId) -> Result<Option<DeliveryRecord>, StoreError> {
        let id = job.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.delivery_of_job(&id).map_err(store_error))?;
            row.map(DeliveryRow::into_domain).transpose()
        })
        .await
    }

    async fn queue_position(&self, job: JobId) -> Result<Option<u64>, StoreError> {
        let id = job.to_string();
        self.blocking(move |db| {
            let position = in_snapshot!(db, conn => conn.position(&id))?;
            position.map(|position| unsigned("job", &id, position)).transpose()
        })
        .await
    }

    async fn waiting(&self, limit: u16, visible: Visibility) -> Result<Vec<(JobSummary, u64)>, StoreError> {
        self.blocking(move |db| {
            let rows = in_snapshot!(db, conn => conn.queue_positions(limit, &visible))?;
            let with_position = |((row, stages), position): (SummaryRows, i64)| {
                let position = unsigned("job", &row.id, position)?;
                Ok((row.into_domain(stages)?, position))
            };
            rows.into_iter().map(with_position).collect()
        })
        .await
    }

    async fn issue_counts(&self, visible: Visibility) -> Result<HashMap<IssueStatus, u64>, StoreError> {
        self.blocking(move |db| {
            let counts = in_read_tx!(db, conn => conn.counts(&visible).map_err(store_error))?;
            let count = |(status, count): (String, i64)| {
                let known = IssueStatus::parse(&status).ok_or_else(|| corrupt_row("issue", "count", &status))?;
                Ok((known, unsigned("issue", "count", count)?))
            };
            counts.into_iter().map(count).collect()
        })
        .await
    }

    async fn last_delivery(&self) -> Result<Option<(String, String, Timestamp)>, StoreError> {
        self.blocking(|db| {
            let newest = in_read_tx!(db, conn => conn.newest_delivery().map_err(store_error))?;
            newest.map(|(platform, event, at)| Ok((platform, event, timestamp("delivery", "newest", at)?))).transpose()
        })
        .await
    }

    async fn queue_lag(&self, now: Timestamp, repositories: u16) -> Result<QueueLag, StoreError> {
        self.blocking(move |db| {
            let (oldest, waiting) = in_read_tx!(db, conn => {
                let oldest = conn.oldest_effect(micros(now)).map_err(store_error)?;
                conn.longest_queues(repositories).map_err(store_error).map(|waiting| (oldest, waiting))
            })?;
            let one = |(repository, jobs, oldest): (String, i64, Option<i64>)| {
                let oldest = timestamp("job", &repository, oldest.unwrap_or_default())?;
                Ok(WaitingJobs { jobs: unsigned("job", "count", jobs)?, oldest, repository })
            };
            Ok(QueueLag {
                oldest_effect: oldest.map(|oldest| timestamp("effect", "created_at", oldest)).transpose()?,
                repositories: waiting.into_iter().map(one).collect::<Result<_, StoreError>>()?,
            })
        })
        .await
    }

    async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        self.blocking(|db| {
            let [queued, running, effects, events, requests] =
                in_read_tx!(db, conn => conn.depth().map_err(store_error))?;
            let count = |number| unsigned("job", "count", number);
            Ok(QueueDepth {
                queued: count(queued)?,
                running: count(running)?,
                effects: count(effects)?,
                events: count(events)?,
                requests: count(requests)?,
            })
        })
        .await
    }
}
