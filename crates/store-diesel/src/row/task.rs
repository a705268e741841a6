use diesel::prelude::*;
use patchwright_core::query::TaskFilter;
use patchwright_core::store::StoreError;
use patchwright_domain::{BranchName, Task, TaskStatus};
use serde::Serialize;

use super::{micros, parse, signed, timestamp, unsigned};
use crate::access::{limits, visible_issues};
use crate::db::{corrupt_row, statements};
use crate::schema::{issue, task};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = task, treat_none_as_null = true)]
pub(crate) struct TaskRow {
    id: String,
    job_id: String,
    issue_id: String,
    node: String,
    status: String,
    attempt: i64,
    result_branch: Option<String>,
    error_message: Option<String>,
    created_at: i64,
    updated_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    heard: i64,
    model: String,
}

impl TaskRow {
    pub(crate) fn new(task: &Task) -> Self {
        Self {
            id: task.id.to_string(),
            job_id: task.job_id.to_string(),
            issue_id: task.issue_id.to_string(),
            node: task.node.clone(),
            status: task.status.as_str().to_owned(),
            attempt: i64::from(task.attempt),
            result_branch: task.result_branch.as_ref().map(ToString::to_string),
            error_message: task.error_message.clone(),
            created_at: micros(task.created_at),
            updated_at: micros(task.updated_at),
            started_at: task.started_at.map(micros),
            completed_at: task.completed_at.map(micros),
            heard: signed(task.last_report),
            model: task.model.clone(),
        }
    }

    pub(crate) fn into_domain(self) -> Result<Task, StoreError> {
        const T: &str = "task";
        let id = self.id.as_str();
        Ok(Task {
            id: parse(T, id, self.id.parse())?,
            job_id: parse(T, id, self.job_id.parse())?,
            issue_id: parse(T, id, self.issue_id.parse())?,
            status: TaskStatus::parse(&self.status).ok_or_else(|| corrupt_row(T, id, &self.status))?,
            attempt: unsigned(T, id, self.attempt)?,
            result_branch: self.result_branch.map(|name| parse(T, id, BranchName::parse(&name))).transpose()?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            started_at: self.started_at.map(|at| timestamp(T, id, at)).transpose()?,
            completed_at: self.completed_at.map(|at| timestamp(T, id, at)).transpose()?,
            last_report: unsigned(T, id, self.heard)?,
            error_message: self.error_message,
            node: self.node,
            model: self.model,
        })
    }
}

statements! {
    pub(crate) trait TaskStatements {
        fn task_page(conn, filter: &TaskFilter) -> QueryResult<Vec<TaskRow>> {
            let mut query = task::table.order(task::id.desc()).limit(i64::from(filter.limit)).into_boxed();
            if let Some(status) = filter.status {
                query = query.filter(task::status.eq(status.as_str()));
            }
            if let Some(job) = filter.job {
                query = query.filter(task::job_id.eq(job.to_string()));
            }
            if let Some(issue) = filter.issue {
                query = query.filter(task::issue_id.eq(issue.to_string()));
            }
            if let Some((user, repositories)) = limits(&filter.visible) {
                let visible = issue::table.filter(visible_issues(user, repositories)).select(issue::id);
                query = query.filter(task::issue_id.eq_any(visible));
            }
            if let Some(before) = filter.before {
                query = query.filter(task::id.lt(before.to_string()));
            }
            query.select(TaskRow::as_select()).load(conn)
        }

        fn open_task_rows(conn, job: &str) -> QueryResult<Vec<TaskRow>> {
            task::table
                .filter(task::job_id.eq(job))
                .filter(task::status.eq_any([TaskStatus::Pending.as_str(), TaskStatus::Running.as_str()]))
                .order(task::id)
                .select(TaskRow::as_select())
                .load(conn)
        }

        fn latest_task_row(conn, job: &str) -> QueryResult<Option<TaskRow>> {
            task::table
                .filter(task::job_id.eq(job))
                .order(task::id.desc())
                .select(TaskRow::as_select())
                .first(conn)
                .optional()
        }

        fn tasks_at_node(conn, node: &str) -> QueryResult<Vec<TaskRow>> {
            task::table
                .filter(task::node.eq(node).and(task::node.ne("")))
                .filter(task::status.eq_any([TaskStatus::Pending.as_str(), TaskStatus::Running.as_str()]))
                .order(task::id)
                .select(TaskRow::as_select())
                .load(conn)
        }

        fn task_row(conn, id: &str) -> QueryResult<Option<TaskRow>> {
            task::table.find(id).select(TaskRow::as_select()).first(conn).optional()
        }

        fn upsert_task(conn, row: &TaskRow) -> QueryResult<usize> {
            diesel::insert_into(task::table).values(row).on_conflict(task::id).do_update().set(row).execute(conn)
        }
    }
}

/// The columns that an update writes, for SQL text.
pub(crate) const CHANGES: [&str; 9] =
    ["status", "result_branch", "error_message", "updated_at", "node", "started_at", "completed_at", "heard", "model"];
