//! `patchwright run`: runs one job in the terminal, with a temporary store.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use patchwright_core::audit::AuditEntry;
use patchwright_core::forge::Forge;
use patchwright_core::repositories::{RegisteredRepository, Repositories as _};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::PublishMode;
use patchwright_domain::{
    AuditId, BranchName, Issue, IssueId, IssueNumber, IssueRef, IssueStatus, PlatformId, RepoName, RepositoryId,
    RepositorySettings,
};
use patchwright_engine::ManualStart;
use patchwright_github::GITHUB;
use patchwright_gitops_gix::Snapshot;
use patchwright_local::LOCAL;
use patchwright_sandbox::SandboxPolicy;

use super::{CommandResult, print_error};
use crate::cli::RunArgs;
use crate::compose::{App, Overrides, compose};
use crate::config::Config;
use crate::serve::cancel_on_signal;
use crate::telemetry;
use crate::terminal::{Display, exit_code, note, print_json, print_result};

/// The repository of the job.
enum Target {
    /// A folder on this machine, with a name for the records.
    Folder(RepoName, std::path::PathBuf),
    /// A repository on GitHub.
    Github(RepoName),
}

impl Target {
    fn repository(&self) -> (PlatformId, RepoName) {
        match self {
            Self::Folder(name, _) => (LOCAL, name.clone()),
            Self::Github(name) => (GITHUB, name.clone()),
        }
    }
}

pub(crate) async fn run(config: Config, args: RunArgs) -> CommandResult {
    telemetry::start(&config, true);
    let result = whole_job(config, &args).await;
    print_error(result, args.json)
}

async fn whole_job(mut config: Config, args: &RunArgs) -> CommandResult {
    let target = target(&args.repo, &config)?;
    // The job's records are needed only until it ends.
    let scratch = tempfile::Builder::new().prefix("patchwright-run-").tempdir()?;
    config.sandbox.cache = config.sandbox.cache.or_else(|| config.user_cache.clone());
    config.git.cache = config.git.cache.or_else(|| Some(config.user_cache.clone()?.join("git")));
    config.data_dir = scratch.path().to_owned();
    config.database_url =
        patchwright_core::Secret::new(format!("sqlite://{}", scratch.path().join("run.db").display()));
    let display = Arc::new(Display::new());
    let mut overrides = Overrides { progress: Some(display.clone()), max_attempts: Some(1), ..Overrides::default() };
    if let Target::Folder(name, path) = &target {
        overrides.repositories = vec![(name.clone(), path.clone())];
        overrides.local_folder = Some(path.clone());
        if Snapshot::has_uncommitted_work(path).unwrap_or(false) {
            note(
                "The folder has uncommitted changes, which the job does not see: it works on the last commit. Commit or stash them to have \
                 them in.",
            );
        }
        if config.sandbox.policy == SandboxPolicy::Require {
            note(
                "The repository is on this machine, so its tests run also where they cannot be isolated (SANDBOX=best-effort).",
            );
            overrides.sandbox = Some(SandboxPolicy::BestEffort);
        }
    }
    if !config.llm.is_configured() {
        note(
            "No model is configured: the files are ranked and nothing is changed. Set LLM_BASE_URL (and LLM_API_KEY, \
             LLM_MODEL) to any OpenAI-compatible server to have the issue fixed.",
        );
    }
    let has_model = config.llm.is_configured();
    let app = compose(&config, overrides).await?;
    keep_settings(&app, args, &target).await?;
    let start = start(&app, &config, args, &target, has_model).await?;
    let job = app.engine.start(start).await?;
    let cancel = cancel_on_signal();
    app.engine.run_next("terminal", &cancel).await?;
    while app.engine.deliver_next().await?.is_some() {}
    display.finish();
    let job = app.engine.job(job.id).await?.ok_or("the job is not in its store")?;
    if args.json {
        print_json(&job);
    } else {
        print_result(&job);
    }
    Ok(exit_code(&job))
}

/// Stores how the repository is tested, as an administrator of a server would.
async fn keep_settings(
    app: &App,
    args: &RunArgs,
    target: &Target,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let settings = RepositorySettings {
        test_command: args.test_command.clone(),
        sandbox: args.grants.read()?,
        ..RepositorySettings::default()
    };
    let (platform, name) = target.repository();
    let repository = RegisteredRepository {
        id: RepositoryId::from_uuid(uuid::Uuid::now_v7()),
        platform,
        name,
        created_at: jiff::Timestamp::now(),
        synced_at: None,
        settings: settings.checked()?,
    };
    let entry = |action: &str| AuditEntry {
        id: AuditId::from_uuid(uuid::Uuid::now_v7()),
        at: jiff::Timestamp::now(),
        actor: "terminal".to_owned(),
        action: action.to_owned(),
        subject: repository.name.to_string(),
        detail: String::new(),
    };
    app.store.add_repository(&repository, entry("repository.added")).await?;
    app.store.set_repository_settings(repository.id, &repository.settings, entry("repository.settings")).await?;
    Ok(())
}

fn target(repo: &str, config: &Config) -> Result<Target, String> {
    let Some((_, rest)) = repo.split_once("://") else {
        let path = Path::new(repo).canonicalize().map_err(|error| {
            format!("the repository `{repo}` cannot be opened: {error}; give a folder or an https address")
        })?;
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or("repository");
        let plain: String = file_name
            .trim_end_matches(".git")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .collect();
        let name = RepoName::new("local", plain.trim_start_matches('-')).map_err(|error| error.to_string())?;
        return Ok(Target::Folder(name, path));
    };
    let base = config.github.clone_url.split_once("://").map_or("", |(_, rest)| rest);
    let name = rest.strip_prefix(base).map(|path| path.trim_matches('/').trim_end_matches(".git"));
    match name.map(str::parse) {
        Some(Ok(name)) => Ok(Target::Github(name)),
        _ => Err(format!(
            "the repository `{repo}` is not below {}; set GITHUB_CLONE_URL and GITHUB_API_URL for your forge, or clone \
             it and give the folder",
            config.github.clone_url
        )),
    }
}

async fn start(
    app: &App,
    config: &Config,
    args: &RunArgs,
    target: &Target,
    has_model: bool,
) -> Result<ManualStart, Box<dyn std::error::Error + Send + Sync>> {
    let (platform, repo) = target.repository();
    let base = match &args.base {
        Some(base) => BranchName::parse(base)?,
        None => forge(app, &platform)?.repository(&repo).await?.default_branch,
    };
    let mut issue = issue(app, config, &args.issue, platform, repo).await?;
    issue.default_branch = Some(base);
    if issue.source.platform == LOCAL {
        keep_issue(app, &issue).await?;
    }
    // Without a model there is nothing to publish, regardless of the options.
    let publish = match (has_model, args.pr, args.push) {
        (true, true, _) => PublishMode::PullRequest,
        (true, _, true) => PublishMode::Branch,
        _ => PublishMode::Patch,
    };
    let actor = "terminal".to_owned();
    Ok(ManualStart { issue, actor, instructions: args.instructions.clone(), publish })
}

fn forge<'a>(app: &'a App, platform: &PlatformId) -> Result<&'a Arc<dyn Forge>, String> {
    app.engine.forge(platform).ok_or_else(|| format!("this program is not connected to {platform}"))
}

async fn issue(
    app: &App,
    config: &Config,
    source: &str,
    platform: PlatformId,
    repo: RepoName,
) -> Result<InboundIssue, Box<dyn std::error::Error + Send + Sync>> {
    if source.contains("://") {
        let source = issue_of_url(source, config)?;
        let remote = forge(app, &source.platform)?.issue(&source).await?;
        return Ok(remote.into_inbound(source));
    }
    let text = if source == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(source).map_err(|error| {
            format!("the issue `{source}` cannot be read: {error}; give a file, `-` or the address of an issue")
        })?
    };
    let (title, body) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    if title.trim().is_empty() {
        return Err(format!("the issue `{source}` is empty; write a title in its first line").into());
    }
    let number = IssueNumber::same(1);
    Ok(InboundIssue {
        opened_at: None,
        source: IssueRef::on_forge(platform, repo, number),
        title: title.trim_start_matches('#').trim().to_owned(),
        body: body.trim().to_owned(),
        author: "terminal".to_owned(),
        labels: Vec::new(),
        is_pull_request: false,
        default_branch: None,
    })
}

/// `{clone url}/owner/name/issues/42`
fn issue_of_url(text: &str, config: &Config) -> Result<IssueRef, String> {
    let wrong = || {
        format!("`{text}` is no address of an issue; it should be {}/OWNER/NAME/issues/NUMBER", config.github.clone_url)
    };
    let path = text.strip_prefix(&config.github.clone_url).ok_or_else(wrong)?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let [owner, name, "issues", number] = parts.as_slice() else { return Err(wrong()) };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let repo = RepoName::new(owner, name).map_err(|_| wrong())?;
    Ok(IssueRef::on_forge(GITHUB, repo, IssueNumber::same(number)))
}

/// The built-in forge only has issues in the store, so this one is stored until the job ends.
pub(super) async fn keep_issue(app: &App, issue: &InboundIssue) -> Result<(), patchwright_core::forge::ForgeError> {
    let now = jiff::Timestamp::now();
    let kept = Issue {
        id: IssueId::from_uuid(uuid::Uuid::now_v7()),
        source: issue.source.clone(),
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        labels: Vec::new(),
        owner: None,
        status: IssueStatus::Pending,
        created_at: now,
        updated_at: now,
    };
    app.local.open_issue(kept).await
}
