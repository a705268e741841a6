//! Issues that users open here, edit, and import from a forge.

use patchwright_core::audit::AuditEntry;
use patchwright_core::store::{Step, StoreError, Versioned, Write};
use patchwright_core::tracker::{Comment, ForgeError, RemoteIssue};
use patchwright_domain::{InboundIssue, Issue, IssueId, IssueNumber, IssueRef, PlatformId, RepoName, UserId};

use crate::Engine;

/// How many pages of issues one import reads at most.
const MAX_PAGES: u32 = 100;

/// A request to open an issue on a forge.
#[derive(Debug, Clone)]
pub struct NewIssue {
    /// The forge.
    pub platform: PlatformId,
    /// The repository on the forge.
    pub repository: RepoName,
    /// The title, one line.
    pub title: String,
    /// The text, as Markdown.
    pub body: String,
    /// The login of the user who opens it.
    pub author: String,
    /// The user who may start it in addition to administrators.
    pub owner: Option<UserId>,
}

/// The error of an operation on issues.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The platform is not configured.
    #[error("this server is not connected to {0}")]
    NoForge(PlatformId),
    /// The issue does not exist.
    #[error("there is no issue {0}")]
    NoSuchIssue(IssueId),
    /// The request to the forge failed.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The store cannot be used now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Returns the comments of an issue from its tracker, each with whether this server wrote it.
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
    /// [`IssueError::NoForge`], [`IssueError::Forge`], [`IssueError::Store`]. If the last one occurs after the forge
    /// has opened the issue, an import finds the issue.
    pub async fn open_issue(&self, new: NewIssue, audit: Option<AuditEntry>) -> Result<Issue, IssueError> {
        let forge = self.ports.forges.get(&new.platform).ok_or_else(|| IssueError::NoForge(new.platform.clone()))?;
        let number = forge.create_issue(&new.repository, &new.title, &new.body).await?;
        let source = IssueRef::on_forge(new.platform, new.repository, number);
        self.write(async || {
            let known = self.ports.store.issue_by_source(&source).await?;
            let (write, issue) = if let Some(known) = known {
                // The built-in forge has stored it already, and a webhook may have arrived first.
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

    /// Changes the title or the text that jobs use.
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

    /// Imports the open issues of a repository and returns how many were new and how many had changed.
    ///
    /// # Errors
    /// [`IssueError::NoForge`], [`IssueError::Forge`], [`IssueError::Store`]. What was imported before the error stays.
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
        let remote = remote.into_inbound(source.clone()).bounded();
        let now = self.ports.clock.now();
        let known = self.ports.store.issue_by_source(&source).await?;
        let (write, result) = match known {
            Some(known) if is_unchanged(&known.value, &remote) => {
                return Ok(Imported::IssueSnapshot);
            }
            Some(known) => {
                let InboundIssue { title, body, labels, .. } = remote;
                let value = Issue { title, body, labels, updated_at: now, ..known.value };
                (Write::Update(Versioned { value, revision: known.revision }), Imported::Changed)
            }
            None => {
                let issue = self.pending_issue(&source, &remote.title, &remote.body, &remote.author);
                let opened_at = remote.opened_at.unwrap_or(issue.created_at);
                let issue = Issue { labels: remote.labels, created_at: opened_at, ..issue };
                (Write::Insert(issue), Imported::New)
            }
        };
        match self.ports.store.commit(Step { issue: Some(write), ..Step::default() }).await {
            Ok(()) => Ok(result),
            // A webhook arrived first, with newer data.
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

/// Returns whether the stored issue equals the tracker's.
fn is_unchanged(kept: &Issue, remote: &InboundIssue) -> bool {
    kept.title == remote.title && kept.body == remote.body && kept.labels == remote.labels
}
