//! Which credential opens which repository: the narrowest that people added, else what the configuration has. Each
//! credential has a client of its own, so that each has its own login, limits and caches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_core::credentials::Credentials;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, NewPullRequest, Permission, RemoteIssue, Repository, Tracker,
};
use patchwright_core::store::StoreError;
use patchwright_core::{Clock, Redactor, Secret};
use patchwright_domain::credential::CredentialScope;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{
    AuditId, BranchName, CommitSha, CredentialId, IssueNumber, IssueRef, PlatformId, RepoName, RepoPath,
};
use patchwright_store_diesel::{DieselStore, Vault};
use tokio::sync::Mutex;

/// How long is relied on what was found: another server may have changed it.
const FRESH: Duration = Duration::from_secs(30);

/// Makes a client with a token.
type Make = dyn Fn(Secret) -> Arc<dyn Forge> + Send + Sync;

/// What opens a repository.
#[derive(Clone)]
struct Opened {
    /// `None`: what the configuration has.
    credential: Option<CredentialId>,
    forge: Arc<dyn Forge>,
}

/// A forge with the credentials that people added.
pub(crate) struct KeyedForge {
    platform: PlatformId,
    /// What the configuration has.
    configured: Arc<dyn Forge>,
    make: Box<Make>,
    vault: Vault,
    store: DieselStore,
    clock: Arc<dyn Clock>,
    redactor: Redactor,
    /// A client for each secret that was ever used, by credential and the time of its secret.
    clients: Mutex<HashMap<(CredentialId, Timestamp), Arc<dyn Forge>>>,
    found: Mutex<HashMap<RepoName, (Instant, Opened)>>,
}

/// What all keyed forges share.
pub(crate) struct Keyring<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) store: &'a DieselStore,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) redactor: &'a Redactor,
}

impl Keyring<'_> {
    pub(crate) fn forge(
        &self,
        configured: Arc<dyn Forge>,
        make: impl Fn(Secret) -> Arc<dyn Forge> + Send + Sync + 'static,
    ) -> Arc<KeyedForge> {
        Arc::new(KeyedForge {
            platform: configured.platform(),
            configured,
            make: Box::new(make),
            vault: self.vault.clone(),
            store: self.store.clone(),
            clock: Arc::clone(self.clock),
            redactor: self.redactor.clone(),
            clients: Mutex::default(),
            found: Mutex::default(),
        })
    }
}

impl std::fmt::Debug for KeyedForge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyedForge({})", self.platform)
    }
}

impl KeyedForge {
    /// Whose a secret is, asked of the forge itself.
    pub(crate) async fn owner_of(&self, secret: Secret) -> Result<String, ForgeError> {
        self.redactor.add(&secret);
        (self.make)(secret).own_login().await
    }

    /// Forgets what was found: a credential was added, changed or removed.
    pub(crate) async fn forget(&self) {
        self.found.lock().await.clear();
    }

    fn unavailable(&self, error: &StoreError) -> ForgeError {
        ForgeError::Unavailable {
            platform: self.platform.clone(),
            detail: format!("the credentials cannot be read: {error}"),
        }
    }

    async fn opened(&self, repo: &RepoName) -> Result<Opened, ForgeError> {
        if let Some((at, opened)) = self.found.lock().await.get(repo)
            && at.elapsed() < FRESH
        {
            return Ok(opened.clone());
        }
        let opened = self.look(repo).await.map_err(|error| self.unavailable(&error))?;
        self.found.lock().await.insert(repo.clone(), (Instant::now(), opened.clone()));
        Ok(opened)
    }

    async fn look(&self, repo: &RepoName) -> Result<Opened, StoreError> {
        let now = self.clock.now();
        for scope in CredentialScope::fitting(repo) {
            let Some((credential, secret)) = self.vault.open_credential(&self.platform, &scope).await? else {
                continue;
            };
            if credential.has_expired(now) {
                tracing::warn!(credential = %credential.name, %scope, "the credential has ended; the next wider one is used");
                continue;
            }
            self.redactor.add(&secret);
            let mut clients = self.clients.lock().await;
            let client = clients.entry((credential.id, credential.changed_at)).or_insert_with(|| (self.make)(secret));
            if self.vault.note_use(credential.id, now).await? {
                self.note(credential.id, repo, "for calls").await?;
            }
            return Ok(Opened { credential: Some(credential.id), forge: Arc::clone(client) });
        }
        Ok(Opened { credential: None, forge: Arc::clone(&self.configured) })
    }

    async fn note(&self, credential: CredentialId, repo: &RepoName, detail: &str) -> Result<(), StoreError> {
        let entry = AuditEntry {
            id: AuditId::from_uuid(uuid::Uuid::now_v7()),
            at: self.clock.now(),
            actor: crate::audit::OPERATOR.to_owned(),
            action: "credential.used".to_owned(),
            subject: credential.to_string(),
            detail: format!("{}:{repo} {detail}", self.platform),
        };
        self.store.note(&entry).await
    }

    async fn of(&self, repo: &RepoName) -> Result<Arc<dyn Forge>, ForgeError> {
        Ok(self.opened(repo).await?.forge)
    }
}

#[async_trait]
impl Tracker for KeyedForge {
    fn platform(&self) -> PlatformId {
        self.platform.clone()
    }

    fn max_comment_chars(&self) -> usize {
        self.configured.max_comment_chars()
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        self.of(&issue.repo).await?.issue(issue).await
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        self.of(&issue.repo).await?.comments(issue).await
    }

    async fn post_comment(&self, issue: &IssueRef, body: &str) -> Result<String, ForgeError> {
        self.of(&issue.repo).await?.post_comment(issue, body).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &str) -> Result<(), ForgeError> {
        self.of(&issue.repo).await?.edit_comment(issue, comment_id, body).await
    }
}

#[async_trait]
impl Forge for KeyedForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        self.configured.own_login().await
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        self.of(repo).await?.repository(repo).await
    }

    async fn open_issues(&self, repo: &RepoName, page: u32) -> Result<IssuePage, ForgeError> {
        self.of(repo).await?.open_issues(repo, page).await
    }

    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        self.of(repo).await?.create_issue(repo, title, body).await
    }

    async fn permission(&self, repo: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        self.of(repo).await?.permission(repo, login).await
    }

    async fn commit_address(&self, repo: &RepoName, login: &str) -> Result<Option<String>, ForgeError> {
        self.of(repo).await?.commit_address(repo, login).await
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        self.of(repo).await?.find_pull_request(repo, head).await
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        self.of(repo).await?.create_pull_request(repo, new).await
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &str) -> Result<(), ForgeError> {
        self.of(repo).await?.update_pull_request(repo, number, body).await
    }

    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        self.of(repo).await?.mark_ready(repo, pull_request).await
    }

    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError> {
        self.of(repo).await?.merge_pull_request(repo, number, head).await
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        self.of(repo).await?.read_file(repo, path, at).await
    }

    async fn git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        let opened = self.opened(repo).await?;
        let given = opened.forge.git_credential(repo).await?;
        if let Some(credential) = opened.credential {
            self.note(credential, repo, "for git").await.map_err(|error| self.unavailable(&error))?;
        }
        Ok(given)
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        self.configured.issue_url(issue)
    }
}
