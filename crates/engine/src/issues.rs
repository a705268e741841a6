//! Issues that people open here, edit, and import from a forge.

use patchwright_core::audit::AuditEntry;
use patchwright_core::store::{Step, StoreError, Versioned, Write};
use patchwright_core::tracker::{Comment, ForgeError, RemoteIssue};
use patchwright_domain::{Issue, IssueId, IssueNumber, IssueRef, PlatformId, RepoName, UserId};

use crate::Engine;

/// How many pages of issues one import reads at the most.
const MAX_PAGES: u32 = 100;

/// An issue to open on its forge.
#[derive(Debug, Clone)]
pub struct NewIssue {
    /// The forge.
    pub platform: PlatformId,
    /// The repository there.
    pub repository: RepoName,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Who opens it, by login.
    pub author: String,
    /// Who may start it beside administrators.
    pub owner: Option<UserId>,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// This server is not connected to the platform.
    #[error("this server is not connected to {0}")]
    NoForge(PlatformId),
    /// There is no such issue.
    #[error("there is no issue {0}")]
    NoSuchIssue(IssueId),
    /// The forge did not do it.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Nothing can be read or written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// What people and we have said on an issue, where it is talked about; each with whether it is ours.
    ///
    /// # Errors
    /// [`IssueError::NoForge`], [`IssueError::Forge`].
    pub async fn comments(&self, source: &IssueRef) -> Result<Vec<(Comment, bool)>, IssueError> {
        let tracker = self.tracker(source).ok_or_else(|| IssueError::NoForge(source.platform.clone()))?;
        let comments = tracker.comments(source).await?.into_iter();
        let with_whose = |comment: Comment| {
            let ours = self.marker.is_ours(&comment.body);
            (comment, ours)
        };
        Ok(comments.map(with_whose).collect())
    }

    /// Opens an issue on its forge and stores it. `audit` is written with it; its subject is the issue.
    ///
    /// # Errors
    /// [`IssueError::NoForge`], [`IssueError::Forge`], [`IssueError::Store`]. When the last one comes after the forge
    /// has opened it, an import finds it.
    pub async fn open_issue(&self, new: NewIssue, audit: Option<AuditEntry>) -> Result<Issue, IssueError> {
        let forge = self.ports.forges.get(&new.platform).ok_or_else(|| IssueError::NoForge(new.platform.clone()))?;
        let number = forge.create_issue(&new.repository, &new.title, &new.body).await?;
        let source = IssueRef::on_forge(new.platform, new.repository, number);
        self.write(async || {
            let known = self.ports.store.issue_by_source(&source).await?;
            let (write, issue) = if let Some(known) = known {
                // The built-in forge keeps it already, and a webhook may have been quicker.
                let issue = Issue { owner: new.owner, author: new.author.clone(), ..known.value };
                (Write::Update(Versioned { value: issue.clone(), revision: known.revision }), issue)
            } else {
                let issue = self.pending_issue(&source, &new.title, &new.body, &new.author);
                let issue = Issue { owner: new.owner, ..issue };
                (Write::Insert(issue.clone()), issue)
            };
            let audit = audit.clone().map(|audit| AuditEntry { subject: source.to_string(), ..audit });
            Ok((Step { issue: Some(write), audit, ..Step::default() }, issue))
        })
        .await
    }

    /// Changes the title or text that jobs work from.
    ///
    /// # Errors
    /// [`IssueError::NoSuchIssue`], [`IssueError::Store`].
    pub async fn edit_issue(
        &self,
        id: IssueId,
        title: Option<String>,
        body: Option<String>,
        audit: Option<AuditEntry>,
    ) -> Result<Issue, IssueError> {
        self.write(async || {
            let known = self.ports.store.issue(id).await?.ok_or(IssueError::NoSuchIssue(id))?;
            let mut issue = known.value;
            issue.title = title.clone().unwrap_or(issue.title);
            issue.body = body.clone().unwrap_or(issue.body);
            issue.updated_at = self.ports.clock.now();
            let write = Write::Update(Versioned { value: issue.clone(), revision: known.revision });
            Ok((Step { issue: Some(write), audit: audit.clone(), ..Step::default() }, issue))
        })
        .await
    }

    /// Imports the open issues of a repository; returns how many were new and how many had changed.
    ///
    /// # Errors
    /// [`IssueError::NoForge`], [`IssueError::Forge`], [`IssueError::Store`]. What was imported until then stays.
    pub async fn import_issues(&self, platform: &PlatformId, repo: &RepoName) -> Result<(u64, u64), IssueError> {
        let forge = self.ports.forges.get(platform).ok_or_else(|| IssueError::NoForge(platform.clone()))?;
        let (mut imported, mut updated) = (0, 0);
        for page in 1..=MAX_PAGES {
            let found = forge.open_issues(repo, page).await?;
            for (number, remote) in found.issues {
                match self.import(platform, repo, number, remote).await? {
                    Imported::New => imported += 1,
                    Imported::Changed => updated += 1,
                    Imported::IssueSnapshot => {}
                }
            }
            if !found.more {
                break;
            }
        }
        Ok((imported, updated))
    }

    async fn import(
        &self,
        platform: &PlatformId,
        repo: &RepoName,
        number: IssueNumber,
        remote: RemoteIssue,
    ) -> Result<Imported, StoreError> {
        let source = IssueRef::on_forge(platform.clone(), repo.clone(), number);
        let now = self.ports.clock.now();
        let known = self.ports.store.issue_by_source(&source).await?;
        let (write, result) = match known {
            Some(known) if is_unchanged(&known.value, &remote) => {
                return Ok(Imported::IssueSnapshot);
            }
            Some(known) => {
                let RemoteIssue { title, body, labels, .. } = remote;
                let value = Issue { title, body, labels, updated_at: now, ..known.value };
                (Write::Update(Versioned { value, revision: known.revision }), Imported::Changed)
            }
            None => {
                let issue = self.pending_issue(&source, &remote.title, &remote.body, &remote.author);
                let issue = Issue { labels: remote.labels, ..issue };
                (Write::Insert(issue), Imported::New)
            }
        };
        match self.ports.store.commit(Step { issue: Some(write), ..Step::default() }).await {
            Ok(()) => Ok(result),
            // A webhook was quicker, and knows better.
            Err(StoreError::Stale { .. }) => Ok(Imported::IssueSnapshot),
            Err(error) => Err(error),
        }
    }
}

enum Imported {
    New,
    Changed,
    IssueSnapshot,
}

/// Whether an issue is kept as its tracker tells it.
fn is_unchanged(kept: &Issue, remote: &RemoteIssue) -> bool {
    kept.title == remote.title && kept.body == remote.body && kept.labels == remote.labels
}
