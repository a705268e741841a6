//! Creates the demo repository on the built-in forge.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use patchwright_domain::{BranchName, RepoName};
use patchwright_gitops_gix::{restore_first_commit, seed_repository};
use patchwright_local::{LOCAL, LocalForge};
use patchwright_management::{DemoIssue, DemoRepository};

use crate::draft_folder::DraftFolder;

use super::{BODY, FILES, REPOSITORY, TITLE};

/// The demo repository of a server.
pub(crate) struct LocalDemo {
    local: Arc<LocalForge>,
    /// Held while the repository is prepared.
    preparing: tokio::sync::Mutex<()>,
}

impl LocalDemo {
    pub(crate) fn new(local: Arc<LocalForge>) -> Self {
        Self { local, preparing: tokio::sync::Mutex::default() }
    }
}

/// Creates the repository, or takes the fix of an earlier demo out of it.
fn prepare(folder: &Path) -> Result<(), String> {
    let branch = BranchName::parse("main").expect("it is a branch");
    let failed = |error: &dyn std::error::Error| format!("the demo repository cannot be created: {error}");
    if folder.exists() {
        let restored = restore_first_commit(folder, &branch, jiff::Timestamp::now());
        return restored.map(|_| ()).map_err(|error| failed(&error));
    }
    let draft = DraftFolder::new(folder).map_err(|error| failed(&error))?;
    seed_repository(draft.path(), &branch, FILES, jiff::Timestamp::now()).map_err(|error| failed(&error))?;
    draft.finish().map_err(|error| failed(&error))
}

#[async_trait]
impl DemoRepository for LocalDemo {
    async fn prepare(&self) -> Result<DemoIssue, String> {
        let repository: RepoName = REPOSITORY.parse().expect("it is a name");
        let folder = self.local.path_of(&repository);
        let _one_at_a_time = self.preparing.lock().await;
        tokio::task::spawn_blocking(move || prepare(&folder)).await.map_err(|error| error.to_string())??;
        Ok(DemoIssue { platform: LOCAL, repository, title: TITLE, body: BODY, recorded_model: "DEMO_MODEL" })
    }
}
