//! One run of the pipeline on the commit before a fix.

use std::path::PathBuf;
use std::sync::Arc;

use patchwright_core::webhook::InboundIssue;
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::job::PublishMode;
use patchwright_domain::{BranchName, IssueNumber, IssueRef, Job, RepoName};
use patchwright_engine::ManualStart;
use patchwright_github::GITHUB;
use patchwright_gitops_gix::Snapshot;
use patchwright_local::LOCAL;
use patchwright_sandbox::SandboxPolicy;
use serde::{Deserialize, Serialize};

use super::instance::Instance;
use crate::command::run::keep_issue;
use crate::compose::{App, Overrides, compose};
use crate::config::Config;
use crate::terminal::Display;

/// The branch that ends before the fix.
const BRANCH: &str = "evaluation";

/// What all runs share.
pub(super) struct Setting {
    pub(super) config: Arc<Config>,
    pub(super) repo: PathBuf,
    pub(super) issues: Option<RepoName>,
}

/// Where the text of the issue comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TextSource {
    /// The issue that the commit names.
    Issue,
    /// The message of the commit, which may say more about the fix than an issue would.
    CommitMessage,
}

/// Runs the pipeline. The later commits are not in the repository that it sees.
pub(super) async fn run(
    setting: &Setting,
    instance: &Instance,
    cancel: &CancellationToken,
) -> Result<(Job, TextSource), Box<dyn std::error::Error + Send + Sync>> {
    let scratch = tempfile::Builder::new().prefix("patchwright-evaluate-").tempdir()?;
    let (branch, name) = (BranchName::parse(BRANCH)?, RepoName::new("local", "evaluation")?);
    let past = scratch.path().join("past.git");
    Snapshot::open(&setting.repo, &format!("{}^", instance.commit))?.share(&past, &branch)?;
    let mut config = (*setting.config).clone();
    config.data_dir = scratch.path().join("data");
    std::fs::create_dir(&config.data_dir)?;
    // Each instance has a repository of its own, which is gone afterwards.
    config.git.cache_bytes = 0;
    config.database_url = Secret::new(format!("sqlite://{}", scratch.path().join("run.db").display()));
    let display = Arc::new(Display::new());
    let overrides = Overrides {
        progress: Some(display.clone()),
        max_attempts: Some(1),
        repositories: vec![(name.clone(), past)],
        local_folder: Some(setting.repo.clone()),
        sandbox: Some(SandboxPolicy::BestEffort),
        ..Overrides::default()
    };
    let app = compose(&config, overrides).await?;
    let (title, body, source) = text_of(&app, setting, instance).await;
    let issue = InboundIssue {
        opened_at: None,
        source: IssueRef::on_forge(LOCAL, name, IssueNumber::same(1)),
        title,
        body,
        author: "terminal".to_owned(),
        labels: Vec::new(),
        is_pull_request: false,
        default_branch: Some(branch),
    };
    keep_issue(&app, &issue).await?;
    let start = ManualStart { issue, actor: "terminal".to_owned(), instructions: None, publish: PublishMode::Patch };
    let job = app.engine.start(start).await?;
    app.engine.run_next("terminal", cancel).await?;
    while app.engine.deliver_next().await?.is_some() {}
    display.finish();
    let job = app.engine.job(job.id).await?.ok_or("the job is not in its store")?;
    drop(app);
    patchwright_worker::remove_folder(scratch.keep()).await;
    Ok((job, source))
}

/// Returns the text of the issue that the commit names, or else its message.
async fn text_of(app: &App, setting: &Setting, instance: &Instance) -> (String, String, TextSource) {
    if let (Some(repo), Some(forge)) = (&setting.issues, app.engine.forge(&GITHUB)) {
        for number in instance.issue_numbers().into_iter().take(3) {
            let source = IssueRef::on_forge(GITHUB, repo.clone(), IssueNumber::same(number));
            match forge.issue(&source).await.map(|remote| remote.into_inbound(source)) {
                // The text of a pull request tells the fix.
                Ok(issue) if !issue.is_pull_request => return (issue.title, issue.body, TextSource::Issue),
                Ok(_) => {}
                Err(error) => tracing::info!(%error, number, "failed to read an issue"),
            }
        }
    }
    let (title, body) = instance.text();
    (title, body, TextSource::CommitMessage)
}
