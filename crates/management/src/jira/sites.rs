//! Jira sites: their administrators, their secrets, and the repositories of their projects.

use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::jira::WorkspaceSecrets;
use patchwright_domain::jira::{LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::pattern::{CLOUD_ID, PROJECT, SERVICE_ACCOUNT, SITE};
use patchwright_domain::{PlatformId, RepoName, UserId, WorkspaceId};

use super::Jira;
use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{secrets, validate};

/// The length of a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=1000;

/// A site to link.
#[derive(Debug, Clone, Default)]
pub struct NewWorkspace {
    /// The host.
    pub name: String,
    /// The secret that Jira signs deliveries with; without one it is generated.
    pub webhook_secret: Option<Secret>,
    /// The e-mail address of the service account.
    pub account_email: Option<String>,
    /// The API key of the service account.
    pub account_key: Option<Secret>,
    /// Atlassian's id of the site.
    pub cloud_id: Option<String>,
    /// The status; active by default.
    pub status: Option<LinkStatus>,
}

/// Fields of a site to change; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceUpdate {
    /// A new secret; the previous one stays valid until the next change.
    pub webhook_secret: Option<Secret>,
    /// The e-mail address of the service account.
    pub account_email: Option<String>,
    /// The API key of the service account.
    pub account_key: Option<Secret>,
    /// Atlassian's id of the site.
    pub cloud_id: Option<String>,
    /// The status.
    pub status: Option<LinkStatus>,
    /// The new administrator.
    pub admin: Option<UserId>,
}

/// A site, with its webhook secret when that was generated.
#[derive(Debug, Clone)]
pub struct CreatedWorkspace {
    /// The site.
    pub workspace: Workspace,
    /// The generated secret.
    pub webhook_secret: Option<Secret>,
    /// The webhook address to register in Jira, when this server has a public one.
    pub webhook_url: Option<String>,
}

/// The result of a call to a site.
#[derive(Debug, Clone)]
pub struct SiteCheck {
    /// The site.
    pub workspace: Workspace,
    /// Why the service account was not accepted; `None` when it was.
    pub problem: Option<String>,
}

impl Jira<'_> {
    /// Lists all sites by name.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn sites(&self) -> Result<Vec<Workspace>, ManagementError> {
        Ok(self.ports.workspaces.workspaces().await?)
    }

    /// Returns a site.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn site(&self, id: WorkspaceId) -> Result<Workspace, ManagementError> {
        self.ports.workspaces.workspace(id).await?.ok_or_else(|| ManagementError::not_found("workspace"))
    }

    /// Whether the caller may change a site: its administrator, and the operator.
    pub fn may_change_site(&self, principal: &Principal, workspace: &Workspace) -> bool {
        principal.is_admin() && principal.id().is_none_or(|id| id == workspace.admin)
    }

    /// Links a site.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, and for the operator: a site has an administrator;
    /// [`ManagementError::Invalid`]; [`ManagementError::Conflict`] when it is linked already.
    pub async fn add_site(
        &self,
        principal: &Principal,
        new: NewWorkspace,
    ) -> Result<CreatedWorkspace, ManagementError> {
        principal.require_admin()?;
        let admin = principal.id().ok_or_else(|| {
            ManagementError::forbidden("a site has an administrator: log in as a user, or use a token of one")
        })?;
        if !validate::matches(SITE, &new.name) {
            return Err(ManagementError::invalid("bad_site", "a site is a host name, such as acme.atlassian.net"));
        }
        let generated = new.webhook_secret.is_none().then(|| Secret::new(secrets::generate_secret("pwj_")));
        let webhook = self.accept_secret(new.webhook_secret.or_else(|| generated.clone()))?;
        let email = check_account(new.account_email)?;
        let service_account = pair(email, self.accept_secret(new.account_key)?)?;
        let now = self.inner.engine.now();
        let workspace = Workspace {
            id: WorkspaceId::from_uuid(self.inner.ports.ids.uuid()),
            name: new.name.to_ascii_lowercase(),
            cloud_id: check_cloud_id(new.cloud_id)?,
            admin,
            status: new.status.unwrap_or(LinkStatus::Active),
            own_account: None,
            created_at: now,
            updated_at: now,
        };
        let secrets = WorkspaceSecrets { webhook: webhook.into_iter().collect(), service_account };
        let status = workspace.status.as_str();
        let entry = self.inner.audit_entry(principal.login(), "jira_workspace.added", &workspace.name, status);
        if !self.ports.workspaces.add_workspace(&workspace, &secrets, entry).await? {
            return Err(ManagementError::conflict("added_already", format!("{} is linked already", workspace.name)));
        }
        let webhook_url = self.inner.options.public_url.as_ref().map(|url| format!("{url}/api/jira/webhook"));
        Ok(CreatedWorkspace { workspace, webhook_secret: generated, webhook_url })
    }

    /// Changes a site.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] for the site or the new administrator, [`ManagementError::Forbidden`] for others than
    /// its administrator, [`ManagementError::Invalid`].
    pub async fn update_site(
        &self,
        principal: &Principal,
        id: WorkspaceId,
        update: WorkspaceUpdate,
    ) -> Result<Workspace, ManagementError> {
        let mut workspace = self.changeable_site(principal, id).await?;
        workspace.cloud_id = check_cloud_id(update.cloud_id)?.or(workspace.cloud_id);
        workspace.status = update.status.unwrap_or(workspace.status);
        if let Some(admin) = update.admin {
            let user = self.inner.ports.accounts.user(admin).await?;
            workspace.admin = user.ok_or_else(|| ManagementError::not_found("user"))?.id;
        }
        let webhook = self.accept_secret(update.webhook_secret)?;
        let (email, key) = (check_account(update.account_email)?, self.accept_secret(update.account_key)?);
        let mut changed = Vec::new();
        let mut replaced = None;
        if webhook.is_some() || email.is_some() || key.is_some() {
            let known = self.ports.workspaces.open_workspace(&workspace.name).await?;
            let (_, known) = known.ok_or_else(|| ManagementError::not_found("workspace"))?;
            changed.extend(webhook.as_ref().map(|_| "new webhook secret"));
            changed.extend(email.as_ref().map(|_| "new service account"));
            changed.extend(key.as_ref().map(|_| "new API key"));
            replaced = Some(replace_secrets(known, webhook, email, key)?);
            // The account of the comments is requested again.
            workspace.own_account = None;
        }
        workspace.updated_at = self.inner.engine.now();
        changed.push(workspace.status.as_str());
        let detail = changed.join(", ");
        let entry = self.inner.audit_entry(principal.login(), "jira_workspace.changed", &workspace.name, &detail);
        if !self.ports.workspaces.change_workspace(&workspace, replaced.as_ref(), entry).await? {
            return Err(ManagementError::not_found("workspace"));
        }
        Ok(workspace)
    }

    /// Calls a site with its service account.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for others than its administrator.
    pub async fn check_site(&self, principal: &Principal, id: WorkspaceId) -> Result<SiteCheck, ManagementError> {
        let workspace = self.changeable_site(principal, id).await?;
        let problem = match self.ports.sites.own_account(&workspace.name).await {
            Ok(own) => {
                self.ports.workspaces.set_discovered(workspace.id, None, Some(&own)).await?;
                None
            }
            Err(error) => Some(self.inner.ports.redactor.redact(&error.to_string())),
        };
        Ok(SiteCheck { workspace, problem })
    }

    /// Lists the repositories of a site's projects that the caller sees, by project.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Unavailable`].
    pub async fn projects(
        &self,
        principal: &Principal,
        id: WorkspaceId,
    ) -> Result<Vec<ProjectRepository>, ManagementError> {
        let workspace = self.site(id).await?;
        let visible = self.inner.visibility(principal).await?;
        let mut projects = self.ports.workspaces.projects(workspace.id).await?;
        projects.retain(|project| visible.includes(&project.platform, &project.repo));
        Ok(projects)
    }

    /// Maps a project to a registered repository.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`], [`ManagementError::Forbidden`] for others than the site's administrator,
    /// [`ManagementError::Invalid`].
    pub async fn map_project(
        &self,
        principal: &Principal,
        id: WorkspaceId,
        key: &str,
        platform: PlatformId,
        repository: &str,
    ) -> Result<ProjectRepository, ManagementError> {
        let workspace = self.changeable_site(principal, id).await?;
        if !validate::matches(PROJECT, key) {
            let detail = "the key of a project has capital letters, digits and `_`, such as PROJ";
            return Err(ManagementError::invalid("bad_project", detail));
        }
        let name: RepoName = repository.parse().map_err(|error: patchwright_domain::id::InvalidId| {
            ManagementError::invalid("bad_repository", error.to_string())
        })?;
        let is_same = |other: &RepoName| name.to_string().eq_ignore_ascii_case(&other.to_string());
        let known = self.inner.ports.repositories.repositories().await?;
        let known = known.into_iter().find(|known| known.platform == platform && is_same(&known.name));
        let known = known.ok_or_else(|| {
            ManagementError::invalid("unknown_repository", format!("{name} is not registered here; add it first"))
        })?;
        let project = ProjectRepository { project: key.to_owned(), platform, repo: known.name };
        let detail = format!("{} → {}", project.project, project.repo);
        let entry = self.inner.audit_entry(principal.login(), "jira_project.mapped", &workspace.name, &detail);
        self.ports.workspaces.set_project(workspace.id, &project, entry).await?;
        Ok(project)
    }

    /// Removes the mapping of a project.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] for the site or the mapping, [`ManagementError::Forbidden`] for others than the
    /// site's administrator.
    pub async fn unmap_project(
        &self,
        principal: &Principal,
        id: WorkspaceId,
        key: &str,
    ) -> Result<(), ManagementError> {
        let workspace = self.changeable_site(principal, id).await?;
        let entry = self.inner.audit_entry(principal.login(), "jira_project.unmapped", &workspace.name, key);
        if !validate::matches(PROJECT, key) || !self.ports.workspaces.remove_project(workspace.id, key, entry).await? {
            return Err(ManagementError::not_found("project"));
        }
        Ok(())
    }

    async fn changeable_site(&self, principal: &Principal, id: WorkspaceId) -> Result<Workspace, ManagementError> {
        principal.require_admin()?;
        let workspace = self.site(id).await?;
        if self.may_change_site(principal, &workspace) {
            Ok(workspace)
        } else {
            Err(ManagementError::forbidden("only the administrator who added this site may change it"))
        }
    }

    /// Wraps a secret from outside and masks it from now on.
    fn accept_secret(&self, text: Option<Secret>) -> Result<Option<Secret>, ManagementError> {
        let Some(text) = text else { return Ok(None) };
        let secret = validate::secret(text, SECRET_BYTES)?;
        self.inner.ports.redactor.add(&secret);
        Ok(Some(secret))
    }

    /// Returns the time of the clock for jobs and leases.
    pub(super) fn now(&self) -> Timestamp {
        self.inner.engine.now()
    }
}

fn check_account(email: Option<String>) -> Result<Option<String>, ManagementError> {
    match email {
        Some(email) if !validate::matches(SERVICE_ACCOUNT, &email) => {
            Err(ManagementError::invalid("bad_email", "the service account is named by its e-mail address"))
        }
        other => Ok(other),
    }
}

fn check_cloud_id(id: Option<String>) -> Result<Option<String>, ManagementError> {
    match id {
        Some(id) if !validate::matches(CLOUD_ID, &id) => {
            let detail = "a cloud id is a UUID; https://SITE/_edge/tenant_info returns it";
            Err(ManagementError::invalid("bad_cloud_id", detail))
        }
        other => Ok(other),
    }
}

fn pair(email: Option<String>, key: Option<Secret>) -> Result<Option<(String, Secret)>, ManagementError> {
    match (email, key) {
        (Some(email), Some(key)) => Ok(Some((email, key))),
        (None, None) => Ok(None),
        _ => Err(ManagementError::invalid("half_an_account", "a service account has an address and an API key")),
    }
}

/// Returns the secrets with the new ones in place.
fn replace_secrets(
    known: WorkspaceSecrets,
    webhook: Option<Secret>,
    email: Option<String>,
    key: Option<Secret>,
) -> Result<WorkspaceSecrets, ManagementError> {
    let webhook = match webhook {
        // The new secret is entered in Jira by hand: until then deliveries are signed with the old one.
        Some(new) => std::iter::once(new).chain(known.webhook.into_iter().take(1)).collect(),
        None => known.webhook,
    };
    let (old_email, old_key) = known.service_account.unzip();
    Ok(WorkspaceSecrets { webhook, service_account: pair(email.or(old_email), key.or(old_key))? })
}
