//! The Atlassian accounts of users: linked with OAuth 2.0.

use std::sync::Arc;

use jiff::SignedDuration;
use patchwright_core::Secret;
use patchwright_core::jira_oauth::JiraOauth;
use patchwright_domain::jira::{JiraUser, LinkStatus, Workspace};
use patchwright_domain::{JiraUserId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::Jira;
use crate::error::ManagementError;
use crate::principal::Principal;
use crate::secrets;
use crate::sessions::is_local_path;

/// How long a user may take on Atlassian's pages.
const LINK_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
/// The longest display name that is stored, in characters.
const MAX_DISPLAY_NAME_CHARS: usize = 200;

/// A link in progress. It is encrypted at rest.
#[derive(Serialize, Deserialize)]
struct PendingLink {
    user: UserId,
    workspace: WorkspaceId,
    /// The hash of the session's cookie: another session cannot finish the link.
    session: String,
    return_to: Option<String>,
}

/// The session of a request. A token has none: linking requires the browser in which the user has logged in.
fn session_of(principal: &Principal, cookie: Option<&str>) -> Result<(UserId, String), ManagementError> {
    let cookie = cookie.filter(|_| principal.csrf().is_some());
    principal
        .id()
        .zip(cookie.map(secrets::hash_secret))
        .ok_or_else(|| ManagementError::forbidden("open this address in the browser in which you have logged in here"))
}

impl Jira<'_> {
    /// Starts linking the caller's Atlassian account. Returns the address to send the user to.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without a session, [`ManagementError::NotFound`] for the site or without an
    /// application at Atlassian, [`ManagementError::Invalid`] when the site must be named.
    pub async fn start_link(
        &self,
        principal: &Principal,
        cookie: Option<&str>,
        site: Option<&str>,
        return_to: Option<&str>,
    ) -> Result<String, ManagementError> {
        let (user, session) = session_of(principal, cookie)?;
        let oauth = self.oauth()?;
        let workspace = self.site_by_name(site).await?;
        let state = secrets::generate_secret("");
        let return_to = return_to.filter(|path| is_local_path(path)).map(str::to_owned);
        let pending = PendingLink { user, workspace: workspace.id, session, return_to };
        let sealed = Secret::new(serde_json::to_string(&pending).expect("a pending link is only text"));
        let now = self.now();
        let until = now.saturating_add(LINK_TIMEOUT).unwrap_or(now);
        self.ports.users.store_state(&secrets::hash_secret(&state), &sealed, until).await?;
        Ok(oauth.authorization_url(&state)?)
    }

    /// Finishes a link with the code of Atlassian. Returns the link, its site, and the path to return to.
    ///
    /// # Errors
    /// [`ManagementError::Invalid`] when the link was not started in this session, took too long, or was finished already;
    /// [`ManagementError::Forbidden`] when the account has no access to the site; [`ManagementError::Conflict`] when the
    /// account belongs to another user, or the user has another account; [`ManagementError::Upstream`].
    pub async fn finish_link(
        &self,
        principal: &Principal,
        cookie: Option<&str>,
        state: Option<&str>,
        code: Result<&str, String>,
    ) -> Result<(JiraUser, Workspace, Option<String>), ManagementError> {
        let (user, session) = session_of(principal, cookie)?;
        let oauth = self.oauth()?;
        let pending = self.pending_link(state, user, &session).await?;
        let code = code.map_err(|reason| {
            ManagementError::invalid("link_refused", format!("Atlassian did not link the account: {reason}"))
        })?;
        let workspace = self.site(pending.workspace).await?;
        let now = self.now();
        let tokens = oauth.exchange(code, now).await?;
        self.inner.ports.redactor.add(&tokens.access);
        let sites = oauth.sites(&tokens.access).await?;
        let site = sites.into_iter().find(|site| site.host == workspace.name).ok_or_else(|| {
            let detail = format!("your Atlassian account has no access to {}, or did not grant it", workspace.name);
            ManagementError::forbidden(detail)
        })?;
        let workspace = self.discover_cloud_id(workspace, site.cloud_id).await?;
        let account = oauth.account(&tokens.access).await?;
        let link = JiraUser {
            id: JiraUserId::from_uuid(self.inner.ports.ids.uuid()),
            user_id: user,
            account: account.account,
            workspace_id: workspace.id,
            display_name: account.name.chars().filter(|c| !c.is_control()).take(MAX_DISPLAY_NAME_CHARS).collect(),
            status: LinkStatus::Active,
            created_at: now,
            updated_at: now,
        };
        let entry = self.inner.audit_entry(principal.login(), "jira_user.linked", &workspace.name, &link.account);
        let link = self.ports.users.link(&link, Some(&tokens), entry).await?;
        self.discover_own_account(&workspace).await;
        Ok((link, workspace, pending.return_to))
    }

    /// Lists the caller's links; all for an administrator.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn links(&self, principal: &Principal) -> Result<Vec<JiraUser>, ManagementError> {
        match principal.id() {
            _ if principal.is_admin() => Ok(self.ports.users.links(None).await?),
            Some(id) => Ok(self.ports.users.links(Some(id)).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Lists the links of one user.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn links_of(&self, user: UserId) -> Result<Vec<JiraUser>, ManagementError> {
        Ok(self.ports.users.links(Some(user)).await?)
    }

    /// Ends a link and deletes its tokens.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] when the caller has no such active link, [`ManagementError::Forbidden`] for a
    /// read-only token.
    pub async fn unlink(&self, principal: &Principal, id: JiraUserId) -> Result<(), ManagementError> {
        principal.require_write()?;
        let not_found = || ManagementError::not_found("link");
        let link = self.ports.users.jira_user(id).await?.ok_or_else(not_found)?;
        if !principal.is_admin() && principal.id() != Some(link.user_id) {
            return Err(not_found());
        }
        let entry = self.inner.audit_entry(principal.login(), "jira_user.unlinked", &link.account, "");
        if !self.ports.users.unlink(id, self.now(), entry).await? {
            return Err(not_found());
        }
        Ok(())
    }

    fn oauth(&self) -> Result<&Arc<dyn JiraOauth>, ManagementError> {
        let detail = "no application at Atlassian is configured (JIRA_CLIENT_ID, JIRA_CLIENT_SECRET)";
        self.ports.oauth.as_ref().ok_or_else(|| ManagementError::NotFound(detail.to_owned()))
    }

    /// Returns the site of that name, or the only one.
    async fn site_by_name(&self, name: Option<&str>) -> Result<Workspace, ManagementError> {
        let mut all = self.sites().await?;
        match name {
            Some(name) => {
                let is_named = |workspace: &Workspace| workspace.name.eq_ignore_ascii_case(name);
                all.into_iter().find(is_named).ok_or_else(|| ManagementError::not_found("workspace"))
            }
            None if all.len() > 1 => {
                let detail = "there are several sites; name one with `?workspace=`";
                Err(ManagementError::invalid("which_site", detail))
            }
            None => all.pop().ok_or_else(|| ManagementError::not_found("workspace")),
        }
    }

    /// Returns the link that was started with a state. Reading it consumes it, whether or not the link succeeds.
    async fn pending_link(
        &self,
        state: Option<&str>,
        user: UserId,
        session: &str,
    ) -> Result<PendingLink, ManagementError> {
        let detail = "no link was started with this state, or it took too long; start again";
        let unknown = || ManagementError::invalid("no_link", detail);
        let state = state.ok_or_else(unknown)?;
        let stored =
            self.ports.users.consume_state(&secrets::hash_secret(state), self.now()).await?.ok_or_else(unknown)?;
        let pending: PendingLink = serde_json::from_str(stored.expose()).map_err(|_| unknown())?;
        if pending.user == user && pending.session == session {
            Ok(pending)
        } else {
            let detail = "the link was started in another session; start again in this one";
            Err(ManagementError::invalid("wrong_state", detail))
        }
    }

    /// The site's cloud id is discovered with the first account that has access; another id later means another site.
    async fn discover_cloud_id(&self, workspace: Workspace, cloud_id: String) -> Result<Workspace, ManagementError> {
        match &workspace.cloud_id {
            Some(known) if *known == cloud_id => Ok(workspace),
            Some(_) => {
                let detail = format!("{} has another cloud id now; its administrator sets it", workspace.name);
                Err(ManagementError::conflict("other_site", detail))
            }
            None => {
                self.ports.workspaces.set_discovered(workspace.id, Some(&cloud_id), None).await?;
                Ok(Workspace { cloud_id: Some(cloud_id), ..workspace })
            }
        }
    }

    /// Finds out which account writes this server's comments, so that they are recognized from the first one on. If
    /// this fails, it is repeated with the first event.
    async fn discover_own_account(&self, workspace: &Workspace) {
        if workspace.own_account.is_some() {
            return;
        }
        match self.ports.sites.own_account(&workspace.name).await {
            Ok(own) => {
                if let Err(error) = self.ports.workspaces.set_discovered(workspace.id, None, Some(&own)).await {
                    tracing::warn!(site = workspace.name, %error, "failed to store the account that writes the comments");
                }
            }
            Err(error) => {
                tracing::warn!(site = workspace.name, %error, "failed to find out the account that writes the comments");
            }
        }
    }
}
