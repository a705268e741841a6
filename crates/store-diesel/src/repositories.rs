//! The port of added repositories.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::access::RepositoryKey;
use patchwright_core::audit::AuditEntry;
use patchwright_core::repositories::{RegisteredRepository, Repositories, RepositoryPolicies};
use patchwright_core::store::StoreError;
use patchwright_domain::{JobStatus, PlatformId, RepositoryId, RepositorySettings};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{in_read_tx, in_write_tx, statements, store_error};
use crate::row::{from_json, json, micros, parse, timestamp};
use crate::schema::{
    conversation, delivery, effect, issue, jira_conversation, jira_project, job, ledger, model_call, node_success,
    notice, repository, repository_member, run_bucket, run_sum, task, task_log, trigger_request,
};

const T: &str = "repository";

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = repository)]
struct RepositoryRow {
    id: String,
    platform: String,
    name: String,
    created_at: i64,
    synced_at: Option<i64>,
    settings: String,
}

impl RepositoryRow {
    fn new(repository: &RegisteredRepository) -> Result<Self, StoreError> {
        Ok(Self {
            id: repository.id.to_string(),
            platform: repository.platform.as_str().to_owned(),
            name: repository.name.to_string(),
            created_at: micros(repository.created_at),
            synced_at: repository.synced_at.map(micros),
            settings: json(&repository.settings)?,
        })
    }

    fn into_domain(self) -> Result<RegisteredRepository, StoreError> {
        let id = self.id.as_str();
        Ok(RegisteredRepository {
            id: parse(T, id, self.id.parse())?,
            name: parse(T, id, self.name.parse())?,
            created_at: timestamp(T, id, self.created_at)?,
            synced_at: self.synced_at.map(|at| timestamp(T, id, at)).transpose()?,
            settings: from_json(T, id, &self.settings)?,
            platform: PlatformId::new(self.platform),
        })
    }
}

statements! {
    trait RepositoryStatements {
        fn repository_row(conn, id: &str) -> QueryResult<Option<RepositoryRow>> {
            repository::table.find(id).select(RepositoryRow::as_select()).first(conn).optional()
        }

        fn open_jobs_of_repository(conn, platform: &str, repo: &str) -> QueryResult<i64> {
            let open = JobStatus::ALL.into_iter().filter(|status| !status.is_terminal()).map(JobStatus::as_str);
            let of_repository = job::platform.eq(platform).and(job::repo.eq(repo));
            job::table.filter(of_repository).filter(job::status.eq_any(open)).count().get_result(conn)
        }

        fn delete_jobs_of_repository(conn, platform: &str, repo: &str) -> QueryResult<()> {
            let jobs = || job::table.filter(job::platform.eq(platform).and(job::repo.eq(repo))).select(job::id);
            let tasks = task::table.filter(task::job_id.eq_any(jobs())).select(task::id);
            diesel::delete(task_log::table.filter(task_log::task_id.eq_any(tasks))).execute(conn)?;
            diesel::delete(model_call::table.filter(model_call::job_id.eq_any(jobs()))).execute(conn)?;
            diesel::delete(conversation::table.filter(conversation::job_id.eq_any(jobs()))).execute(conn)?;
            diesel::delete(delivery::table.filter(delivery::job_id.eq_any(jobs().nullable()))).execute(conn)?;
            diesel::delete(task::table.filter(task::job_id.eq_any(jobs()))).execute(conn)?;
            // Stages and effects go with their job.
            diesel::delete(job::table.filter(job::platform.eq(platform).and(job::repo.eq(repo)))).execute(conn)?;
            Ok(())
        }

        fn delete_records_of_repository(conn, platform: &str, repo: &str) -> QueryResult<()> {
            let requests = trigger_request::platform.eq(platform).and(trigger_request::repo.eq(repo));
            let ids = trigger_request::table.filter(requests).select(trigger_request::id);
            diesel::delete(delivery::table.filter(delivery::job_id.eq_any(ids.nullable()))).execute(conn)?;
            diesel::delete(trigger_request::table.filter(requests)).execute(conn)?;
            let issues = issue::platform.eq(platform).and(issue::repo.eq(repo));
            let ids = issue::table.filter(issues).select(issue::id);
            let causes = effect::table.filter(effect::issue_id.eq_any(ids)).select(effect::id);
            diesel::delete(notice::table.filter(notice::cause.eq_any(causes))).execute(conn)?;
            let ids = issue::table.filter(issues).select(issue::id);
            diesel::delete(effect::table.filter(effect::issue_id.eq_any(ids))).execute(conn)?;
            diesel::delete(issue::table.filter(issues)).execute(conn)?;
            let conversations = jira_conversation::platform.eq(platform).and(jira_conversation::repo.eq(repo));
            diesel::delete(jira_conversation::table.filter(conversations)).execute(conn)?;
            let projects = jira_project::platform.eq(platform).and(jira_project::repo.eq(repo));
            diesel::delete(jira_project::table.filter(projects)).execute(conn)?;
            let members = repository_member::platform.eq(platform).and(repository_member::repo.eq(repo));
            diesel::delete(repository_member::table.filter(members)).execute(conn)?;
            let registered = repository::platform.eq(platform).and(repository::name.eq(repo));
            diesel::delete(repository::table.filter(registered)).execute(conn)?;
            Ok(())
        }

        fn is_known_elsewhere(conn, platform: &str, repo: &str) -> QueryResult<bool> {
            let others = issue::table.filter(issue::repo.eq(repo).and(issue::platform.ne(platform)));
            others.count().get_result(conn).map(|count: i64| count > 0)
        }

        fn delete_statistics_of_repository(conn, repo: &str) -> QueryResult<()> {
            let dimensions = ["repository", "repository/month"];
            let sums = run_sum::name.eq(repo).and(run_sum::dimension.eq_any(dimensions));
            diesel::delete(run_sum::table.filter(sums)).execute(conn)?;
            let buckets = run_bucket::name.eq(repo).and(run_bucket::dimension.eq_any(dimensions));
            diesel::delete(run_bucket::table.filter(buckets)).execute(conn)?;
            diesel::delete(ledger::table.filter(ledger::repo.eq(repo))).execute(conn)?;
            diesel::delete(node_success::table.filter(node_success::repo.eq(repo))).execute(conn)?;
            Ok(())
        }

        fn settings_of_repository(conn, platform: &str, repo: &str) -> QueryResult<Option<String>> {
            let named = repository::platform.eq(platform).and(repository::name.eq(repo));
            repository::table.filter(named).select(repository::settings).first(conn).optional()
        }

        fn repository_rows(conn) -> QueryResult<Vec<RepositoryRow>> {
            let all = repository::table.order((repository::name, repository::platform));
            all.select(RepositoryRow::as_select()).load(conn)
        }
    }
}

#[async_trait]
impl RepositoryPolicies for DieselStore {
    async fn settings_of(&self, key: &RepositoryKey) -> Result<RepositorySettings, StoreError> {
        let (platform, repo) = (key.platform.as_str().to_owned(), key.name.to_string());
        self.blocking(move |db| {
            let found = in_read_tx!(db, conn => conn.settings_of_repository(&platform, &repo).map_err(store_error))?;
            found.map_or_else(|| Ok(RepositorySettings::default()), |text| from_json(T, &repo, &text))
        })
        .await
    }
}

#[async_trait]
impl Repositories for DieselStore {
    async fn add_repository(&self, new: &RegisteredRepository, audit: AuditEntry) -> Result<bool, StoreError> {
        let (row, audit) = (RepositoryRow::new(new)?, AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let insert = diesel::insert_into(repository::table).values(&row).on_conflict_do_nothing();
            let added = insert.execute(conn)?;
            conn.audited(added, &audit)
        })
    }

    async fn repositories(&self) -> Result<Vec<RegisteredRepository>, StoreError> {
        self.blocking(|db| {
            let rows = in_read_tx!(db, conn => conn.repository_rows().map_err(store_error))?;
            rows.into_iter().map(RepositoryRow::into_domain).collect()
        })
        .await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<RegisteredRepository>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.repository_row(&id).map_err(store_error))?;
            row.map(RepositoryRow::into_domain).transpose()
        })
        .await
    }

    async fn record_sync(&self, id: RepositoryId, at: Timestamp, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, at, audit) = (id.to_string(), micros(at), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let update = diesel::update(repository::table.find(&id)).set(repository::synced_at.eq(at));
            let changed = update.execute(conn)?;
            conn.audited(changed, &audit)
        })
    }

    async fn set_repository_settings(
        &self,
        id: RepositoryId,
        settings: &RepositorySettings,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let (id, settings, audit) = (id.to_string(), json(settings)?, AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let update = diesel::update(repository::table.find(&id)).set(repository::settings.eq(&settings));
            let changed = update.execute(conn)?;
            conn.audited(changed, &audit)
        })
    }

    async fn delete_repository_data(&self, repository: &RepositoryKey, audit: AuditEntry) -> Result<bool, StoreError> {
        let (platform, repo) = (repository.platform.as_str().to_owned(), repository.name.to_string());
        let audit = AuditRow::from(audit);
        in_write_tx!(self, conn => {
            if conn.open_jobs_of_repository(&platform, &repo)? > 0 {
                return Ok(false);
            }
            conn.delete_jobs_of_repository(&platform, &repo)?;
            conn.delete_records_of_repository(&platform, &repo)?;
            // Statistics are kept by name, which a repository on another platform may have too.
            if !conn.is_known_elsewhere(&platform, &repo)? {
                conn.delete_statistics_of_repository(&repo)?;
            }
            conn.insert_audit(&audit)?;
            Ok(true)
        })
    }

    async fn remove_repository(&self, id: RepositoryId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let removed = diesel::delete(repository::table.find(&id)).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }
}
