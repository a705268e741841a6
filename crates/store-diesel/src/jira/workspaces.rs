//! The port of linked sites.

use async_trait::async_trait;
use diesel::prelude::*;
use patchwright_core::Secret;
use patchwright_core::audit::AuditEntry;
use patchwright_core::jira::{WorkspaceSecrets, Workspaces};
use patchwright_core::store::StoreError;
use patchwright_domain::jira::{LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{PlatformId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::Vault;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{TxError, corrupt_row, in_read_tx, in_write_tx, statements, store_error};
use crate::row::{from_json, json, micros, parse, timestamp};
use crate::schema::{jira_project, jira_workspace};
use crate::seal::{Sealed, Sealer};

const T: &str = "jira_workspace";

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = jira_workspace, treat_none_as_null = true)]
pub(super) struct WorkspaceRow {
    id: String,
    name: String,
    jira_cloud_id: Option<String>,
    admin_user_id: String,
    status: String,
    svc_account_id: Option<String>,
    key_id: String,
    sealed: Vec<u8>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = jira_project)]
struct ProjectRow {
    workspace_id: String,
    project_key: String,
    platform: String,
    repo: String,
}

/// The secrets of a site before they are encrypted.
#[derive(Serialize, Deserialize)]
struct PlainSecrets {
    webhook: Vec<String>,
    email: Option<String>,
    api_key: Option<String>,
}

impl WorkspaceRow {
    fn new(workspace: &Workspace) -> Self {
        Self {
            id: workspace.id.to_string(),
            name: workspace.name.clone(),
            jira_cloud_id: workspace.cloud_id.clone(),
            admin_user_id: workspace.admin.to_string(),
            status: workspace.status.as_str().to_owned(),
            svc_account_id: workspace.own_account.clone(),
            key_id: String::new(),
            sealed: Vec::new(),
            created_at: micros(workspace.created_at),
            updated_at: micros(workspace.updated_at),
        }
    }

    fn place(&self) -> String {
        format!("jira_workspace/sealed/{}", self.id)
    }

    fn seal_text(&mut self, sealer: &Sealer, text: &Secret) {
        let Sealed { key_id, bytes } = sealer.seal(text, &self.place());
        (self.key_id, self.sealed) = (key_id, bytes);
    }

    fn seal(&mut self, sealer: &Sealer, secrets: &WorkspaceSecrets) -> Result<(), StoreError> {
        let plain = PlainSecrets {
            webhook: secrets.webhook.iter().map(|secret| secret.expose().to_owned()).collect(),
            email: secrets.service_account.as_ref().map(|(email, _)| email.clone()),
            api_key: secrets.service_account.as_ref().map(|(_, key)| key.expose().to_owned()),
        };
        self.seal_text(sealer, &Secret::new(json(&plain)?));
        Ok(())
    }

    fn open_text(&self, sealer: &Sealer) -> Result<Secret, StoreError> {
        let stored = Sealed { key_id: self.key_id.clone(), bytes: self.sealed.clone() };
        sealer.open(&stored, &self.place())
    }

    fn open(&self, sealer: &Sealer) -> Result<WorkspaceSecrets, StoreError> {
        let plain: PlainSecrets = from_json(T, &self.id, self.open_text(sealer)?.expose())?;
        Ok(WorkspaceSecrets {
            webhook: plain.webhook.into_iter().map(Secret::new).collect(),
            service_account: plain.email.zip(plain.api_key.map(Secret::new)),
        })
    }

    fn into_domain(self) -> Result<Workspace, StoreError> {
        let id = self.id.as_str();
        Ok(Workspace {
            id: parse(T, id, self.id.parse())?,
            admin: parse(T, id, self.admin_user_id.parse())?,
            status: LinkStatus::parse(&self.status).ok_or_else(|| corrupt_row(T, id, &self.status))?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            name: self.name,
            cloud_id: self.jira_cloud_id,
            own_account: self.svc_account_id,
        })
    }
}

statements! {
    pub(super) trait WorkspaceStatements {
        fn workspace_rows(conn) -> QueryResult<Vec<WorkspaceRow>> {
            jira_workspace::table.order(jira_workspace::name).select(WorkspaceRow::as_select()).load(conn)
        }

        fn workspace_row(conn, id: &str) -> QueryResult<Option<WorkspaceRow>> {
            jira_workspace::table.find(id).select(WorkspaceRow::as_select()).first(conn).optional()
        }

        fn workspace_named(conn, name: &str) -> QueryResult<Option<WorkspaceRow>> {
            let named = jira_workspace::table.filter(jira_workspace::name.eq(name));
            named.select(WorkspaceRow::as_select()).first(conn).optional()
        }

        fn overwrite_workspace(conn, row: &WorkspaceRow) -> QueryResult<usize> {
            diesel::update(jira_workspace::table.find(&row.id)).set(row).execute(conn)
        }

        fn reseal_workspaces(conn, sealer: &Sealer) -> Result<u64, TxError> {
            let mut count = 0;
            for mut row in conn.workspace_rows()?.into_iter().filter(|row| row.key_id != sealer.key_id()) {
                let text = row.open_text(sealer)?;
                row.seal_text(sealer, &text);
                conn.overwrite_workspace(&row)?;
                count += 1;
            }
            Ok(count)
        }
    }
}

statements! {
    trait ProjectStatements {
        fn project_rows(conn, workspace: &str) -> QueryResult<Vec<ProjectRow>> {
            let of = jira_project::table.filter(jira_project::workspace_id.eq(workspace));
            of.order(jira_project::project_key).select(ProjectRow::as_select()).load(conn)
        }

        fn upsert_project(conn, row: &ProjectRow) -> QueryResult<usize> {
            diesel::insert_into(jira_project::table)
                .values(row)
                .on_conflict((jira_project::workspace_id, jira_project::project_key))
                .do_update()
                .set(row)
                .execute(conn)
        }
    }
}

#[async_trait]
impl Workspaces for Vault {
    async fn add_workspace(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let (mut row, audit) = (WorkspaceRow::new(workspace), AuditRow::from(audit));
        row.seal(&self.sealer, secrets)?;
        in_write_tx!(self.store, conn => {
            let insert = diesel::insert_into(jira_workspace::table).values(&row).on_conflict_do_nothing();
            let added = insert.execute(conn)?;
            conn.audited(added, &audit)
        })
    }

    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let rows =
            self.store.blocking(|db| in_read_tx!(db, conn => conn.workspace_rows().map_err(store_error))).await?;
        rows.into_iter().map(WorkspaceRow::into_domain).collect()
    }

    async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let id = id.to_string();
        let row = self.store.blocking(move |db| in_read_tx!(db, conn => conn.workspace_row(&id).map_err(store_error)));
        row.await?.map(WorkspaceRow::into_domain).transpose()
    }

    async fn open_workspace(&self, name: &str) -> Result<Option<(Workspace, WorkspaceSecrets)>, StoreError> {
        let name = name.to_owned();
        let row =
            self.store.blocking(move |db| in_read_tx!(db, conn => conn.workspace_named(&name).map_err(store_error)));
        let open = |row: WorkspaceRow| {
            let secrets = row.open(&self.sealer)?;
            Ok((row.into_domain()?, secrets))
        };
        row.await?.map(open).transpose()
    }

    async fn change_workspace(
        &self,
        workspace: &Workspace,
        secrets: Option<&WorkspaceSecrets>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let (mut changed, audit) = (WorkspaceRow::new(workspace), AuditRow::from(audit));
        let resealed = secrets.is_some();
        if let Some(secrets) = secrets {
            changed.seal(&self.sealer, secrets)?;
        }
        in_write_tx!(self.store, conn => {
            let Some(known) = conn.workspace_row(&changed.id)? else { return Ok(false) };
            if !resealed {
                changed.key_id = known.key_id;
                changed.sealed = known.sealed;
            }
            let written = conn.overwrite_workspace(&changed)?;
            conn.audited(written, &audit)
        })
    }

    async fn set_discovered(
        &self,
        id: WorkspaceId,
        cloud_id: Option<&str>,
        own_account: Option<&str>,
    ) -> Result<(), StoreError> {
        let id = id.to_string();
        let (cloud_id, own_account) = (cloud_id.map(str::to_owned), own_account.map(str::to_owned));
        in_write_tx!(self.store, conn => {
            let row = jira_workspace::table.find(&id);
            if let Some(cloud_id) = &cloud_id {
                diesel::update(row).set(jira_workspace::jira_cloud_id.eq(cloud_id)).execute(conn)?;
            }
            if let Some(own_account) = &own_account {
                diesel::update(row).set(jira_workspace::svc_account_id.eq(own_account)).execute(conn)?;
            }
            Ok(())
        })
    }

    async fn projects(&self, id: WorkspaceId) -> Result<Vec<ProjectRepository>, StoreError> {
        let id = id.to_string();
        let rows = self.store.blocking(move |db| in_read_tx!(db, conn => conn.project_rows(&id).map_err(store_error)));
        let project = |row: ProjectRow| {
            let repo = parse("jira_project", &row.project_key, row.repo.parse())?;
            Ok(ProjectRepository { project: row.project_key, platform: PlatformId::new(row.platform), repo })
        };
        rows.await?.into_iter().map(project).collect()
    }

    async fn set_project(
        &self,
        id: WorkspaceId,
        project: &ProjectRepository,
        audit: AuditEntry,
    ) -> Result<(), StoreError> {
        let audit = AuditRow::from(audit);
        let row = ProjectRow {
            workspace_id: id.to_string(),
            project_key: project.project.clone(),
            platform: project.platform.as_str().to_owned(),
            repo: project.repo.to_string(),
        };
        in_write_tx!(self.store, conn => {
            conn.upsert_project(&row)?;
            conn.insert_audit(&audit)?;
            Ok(())
        })
    }

    async fn remove_project(&self, id: WorkspaceId, project: &str, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, project, audit) = (id.to_string(), project.to_owned(), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let removed = diesel::delete(jira_project::table.find((&id, &project))).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }
}
