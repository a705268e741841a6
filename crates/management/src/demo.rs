//! The demo repository of the built-in forge: a small bug, from the start button to a merged pull request.

use async_trait::async_trait;
use patchwright_core::Secret;
use patchwright_domain::{Issue, PlatformId, RepoName};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, Settings};

/// The issue of the demo repository.
#[derive(Debug, Clone)]
pub struct DemoIssue {
    /// The forge of the repository.
    pub platform: PlatformId,
    /// Where the issue is opened.
    pub repository: RepoName,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// How the fault shows, and what is expected, in Markdown.
    pub body: &'static str,
    /// The setting that makes recorded answers stand in for a model.
    pub recorded_model: &'static str,
}

/// Creates the demo repository.
#[async_trait]
pub trait DemoRepository: Send + Sync {
    /// Creates the repository, or undoes the fix of an earlier demo, and returns its issue.
    ///
    /// # Errors
    /// Why it cannot be created.
    async fn prepare(&self) -> Result<DemoIssue, String>;
}

/// The demo repository.
#[derive(Debug, Clone, Copy)]
pub struct Demo<'a>(pub(crate) &'a Inner);

impl Demo<'_> {
    /// Returns whether this server has a demo repository to offer.
    pub fn is_offered(&self) -> bool {
        self.0.ports.demo.is_some()
    }

    /// Creates and registers the demo repository, opens its issue and, without a model, switches recorded answers on.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`] where there is no demo,
    /// [`ManagementError::Upstream`] when the repository cannot be created, and those of [`Settings::change`].
    pub async fn open(&self, principal: &Principal) -> Result<Issue, ManagementError> {
        principal.require_admin()?;
        let demo = self.0.ports.demo.as_ref();
        let demo = demo.ok_or_else(|| ManagementError::NotFound("this server has no demo".to_owned()))?;
        let DemoIssue { platform, repository, title, body, recorded_model } =
            demo.prepare().await.map_err(ManagementError::Upstream)?;
        if self.0.engine.model().is_none() {
            let on = (recorded_model.to_owned(), Some(Secret::new("true")));
            Settings(self.0).change(principal, vec![on]).await?;
        }
        let repositories = crate::Repositories(self.0);
        let known = repositories.list(principal).await?;
        let known = known.into_iter().find(|known| known.platform == platform && known.name == repository);
        let known = match known {
            Some(known) => known,
            None => repositories.create(principal, platform, &repository.to_string()).await?,
        };
        crate::Issues(self.0).open(principal, known.id, title, body).await
    }
}
