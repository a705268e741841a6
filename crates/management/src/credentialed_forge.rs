//! A forge with the credentials that administrators add: a call uses the narrowest credential for its repository, else
//! the one of the configuration. Each credential has its own client, so that logins, rate limits and caches are never
//! mixed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::credentials::Credentials;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, NewPullRequest, Permission, PullRequestHead, RemoteIssue,
    Repository, Tracker,
};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::store::StoreError;
use patchwright_core::webhook::DiffPlace;
use patchwright_core::{Clock, IdSource, Redactor, Secret};
use patchwright_domain::credential::CredentialScope;
use patchwright_domain::job::ci::CiCheck;
use patchwright_domain::job::{OtherPullRequest, PullRequestRef};
use patchwright_domain::{
    AuditId, BranchName, CommitSha, CredentialId, IssueNumber, IssueRef, PlatformId, RepoName, RepoPath,
};
use tokio::sync::Mutex;

use crate::principal::LOCAL_OPERATOR;

/// How long a resolved credential is cached: another replica may have changed it.
const CACHE_LIFETIME: Duration = Duration::from_secs(30);

/// Creates a client with a token.
type ClientFactory = dyn Fn(Secret) -> Arc<dyn Forge> + Send + Sync;

/// The credential of a repository, with its client.
#[derive(Clone)]
struct ResolvedCredential {
    /// `None` for the credential of the configuration.
    id: Option<CredentialId>,
    forge: Arc<dyn Forge>,
}

/// The ports that all credentialed forges share.
#[derive(Clone)]
pub struct CredentialPorts {
    /// The credentials.
    pub credentials: Arc<dyn Credentials>,
    /// The audit log, which records every use for git.
    pub audit: Arc<dyn Audit>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdSource>,
    /// The redactor, which masks the secrets that are used.
    pub redactor: Redactor,
}

impl std::fmt::Debug for CredentialPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialPorts")
    }
}

/// A forge with the credentials that administrators add.
pub struct CredentialedForge {
    platform: PlatformId,
    /// The client with the credential of the configuration.
    configured: Arc<dyn Forge>,
    new_client: Box<ClientFactory>,
    ports: CredentialPorts,
    /// A client for each secret, by credential and the time of its last change.
    clients: Mutex<HashMap<(CredentialId, Timestamp), Arc<dyn Forge>>>,
    resolved: Mutex<HashMap<RepoName, (Instant, ResolvedCredential)>>,
}

impl std::fmt::Debug for CredentialedForge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialedForge({})", self.platform)
    }
}

impl CredentialedForge {
    /// Creates a forge. `configured` is the client with the credential of the configuration; `new_client` creates one with
    /// a token.
    pub fn new(
        ports: CredentialPorts,
        configured: Arc<dyn Forge>,
        new_client: impl Fn(Secret) -> Arc<dyn Forge> + Send + Sync + 'static,
    ) -> Self {
        Self {
            platform: configured.platform(),
            configured,
            new_client: Box::new(new_client),
            ports,
            clients: Mutex::default(),
            resolved: Mutex::default(),
        }
    }

    /// Requests the account of a secret from the forge.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn account_of(&self, secret: Secret) -> Result<String, ForgeError> {
        self.ports.redactor.add(&secret);
        (self.new_client)(secret).own_login().await
    }

    /// Clears the cache, after a credential was added, changed or removed.
    pub async fn clear_cache(&self) {
        self.resolved.lock().await.clear();
    }

    fn unavailable(&self, error: &StoreError) -> ForgeError {
        ForgeError::Unavailable {
            platform: self.platform.clone(),
            detail: format!("the credentials cannot be read: {error}"),
        }
    }

    async fn resolve(&self, repo: &RepoName) -> Result<ResolvedCredential, ForgeError> {
        if let Some((at, resolved)) = self.resolved.lock().await.get(repo)
            && at.elapsed() < CACHE_LIFETIME
        {
            return Ok(resolved.clone());
        }
        let resolved = self.find_credential(repo).await.map_err(|error| self.unavailable(&error))?;
        self.resolved.lock().await.insert(repo.clone(), (Instant::now(), resolved.clone()));
        Ok(resolved)
    }

    async fn find_credential(&self, repo: &RepoName) -> Result<ResolvedCredential, StoreError> {
        let now = self.ports.clock.now();
        for scope in CredentialScope::fitting(repo) {
            let Some((credential, secret)) = self.ports.credentials.open_credential(&self.platform, &scope).await?
            else {
                continue;
            };
            if credential.has_expired(now) {
                tracing::warn!(credential = %credential.name, %scope, "the credential has expired; using the next wider one");
                continue;
            }
            self.ports.redactor.add(&secret);
            let mut clients = self.clients.lock().await;
            let key = (credential.id, credential.changed_at);
            let client = clients.entry(key).or_insert_with(|| (self.new_client)(secret));
            let entry = self.audit_entry(credential.id, repo, "for calls");
            self.ports.credentials.record_use(credential.id, now, entry).await?;
            return Ok(ResolvedCredential { id: Some(credential.id), forge: Arc::clone(client) });
        }
        Ok(ResolvedCredential { id: None, forge: Arc::clone(&self.configured) })
    }

    fn audit_entry(&self, credential: CredentialId, repo: &RepoName, detail: &str) -> AuditEntry {
        AuditEntry {
            id: AuditId::from_uuid(self.ports.ids.uuid()),
            at: self.ports.clock.now(),
            actor: LOCAL_OPERATOR.to_owned(),
            action: "credential.used".to_owned(),
            subject: credential.to_string(),
            detail: format!("{}:{repo} {detail}", self.platform),
        }
    }

    async fn client(&self, repo: &RepoName) -> Result<Arc<dyn Forge>, ForgeError> {
        Ok(self.resolve(repo).await?.forge)
    }
}

#[async_trait]
impl Tracker for CredentialedForge {
    fn platform(&self) -> PlatformId {
        self.platform.clone()
    }

    fn max_comment_chars(&self) -> usize {
        self.configured.max_comment_chars()
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        self.client(&issue.repo).await?.issue(issue).await
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        self.client(&issue.repo).await?.comments(issue).await
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        self.client(&issue.repo).await?.post_comment(issue, body).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        self.client(&issue.repo).await?.edit_comment(issue, comment_id, body).await
    }
}

#[async_trait]
impl Forge for CredentialedForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        self.configured.own_login().await
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        self.client(repo).await?.repository(repo).await
    }

    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError> {
        self.client(repo).await?.open_issues(repo, page).await
    }

    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        self.client(repo).await?.create_issue(repo, title, body).await
    }

    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        self.client(repo).await?.permission(repo, login).await
    }

    async fn commit_address(&self, repo: &RepoName, login: &str) -> Result<Option<String>, ForgeError> {
        self.client(repo).await?.commit_address(repo, login).await
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        self.client(repo).await?.find_pull_request(repo, head).await
    }

    async fn pull_requests_naming(&self, issue: &IssueRef) -> Result<Vec<OtherPullRequest>, ForgeError> {
        self.client(&issue.repo).await?.pull_requests_naming(issue).await
    }

    async fn ensure_fork(&self, repo: &RepoName, base: &BranchName) -> Result<Repository, ForgeError> {
        self.client(repo).await?.ensure_fork(repo, base).await
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        self.client(repo).await?.create_pull_request(repo, new).await
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError> {
        self.client(repo).await?.update_pull_request(repo, number, body).await
    }

    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError> {
        self.client(repo).await?.pull_request_comments(repo, number).await
    }

    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        self.client(repo).await?.comment_pull_request(repo, number, body).await
    }

    async fn review_comments(
        &self,
        repo: &RepoName,
        number: u64,
        review: u64,
    ) -> Result<Vec<(DiffPlace, Comment)>, ForgeError> {
        self.client(repo).await?.review_comments(repo, number, review).await
    }

    async fn ci_checks(&self, repo: &RepoName, at: &str) -> Result<Option<Vec<CiCheck>>, ForgeError> {
        self.client(repo).await?.ci_checks(repo, at).await
    }

    async fn ci_output(&self, repo: &RepoName, check: &CiCheck) -> Result<String, ForgeError> {
        self.client(repo).await?.ci_output(repo, check).await
    }

    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        self.client(repo).await?.mark_ready(repo, pull_request).await
    }

    async fn request_review(&self, repo: &RepoName, number: u64, login: &str) -> Result<(), ForgeError> {
        self.client(repo).await?.request_review(repo, number, login).await
    }

    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError> {
        self.client(repo).await?.merge_pull_request(repo, number, head).await
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        self.client(repo).await?.read_file(repo, path, at).await
    }

    async fn git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let resolved = self.resolve(repo).await?;
        let given = resolved.forge.git_credential(repo).await?;
        if let Some(credential) = resolved.id {
            let entry = self.audit_entry(credential, repo, "for git");
            self.ports.audit.record(&entry).await.map_err(|error| self.unavailable(&error))?;
        }
        Ok(given)
    }

    async fn renew_git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let resolved = self.resolve(repo).await?;
        let given = resolved.forge.renew_git_credential(repo).await?;
        if let Some(credential) = resolved.id {
            let entry = self.audit_entry(credential, repo, "for git, after the last one was refused");
            self.ports.audit.record(&entry).await.map_err(|error| self.unavailable(&error))?;
        }
        Ok(given)
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        self.configured.issue_url(issue)
    }
}
