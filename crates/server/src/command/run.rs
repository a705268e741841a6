//! `patchwright run`: runs one job in the terminal, with a temporary store.

mod apply;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use patchwright_core::audit::AuditEntry;
use patchwright_core::forge::Forge;
use patchwright_core::repositories::{RegisteredRepository, Repositories as _};
use patchwright_core::webhook::InboundIssue;
use patchwright_domain::job::PublishMode;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{
    AuditId, BranchName, Issue, IssueId, IssueNumber, IssueRef, IssueStatus, Job, PlatformId, RepoName, RepositoryId,
    RepositorySettings,
};
use patchwright_engine::ManualStart;
use patchwright_github::GITHUB;
use patchwright_gitops_gix::Snapshot;
use patchwright_local::LOCAL;
use patchwright_sandbox::SandboxPolicy;
use patchwright_worker::NO_NUMBER;

use super::{CommandResult, print_error};
use crate::cli::RunArgs;
use crate::compose::{App, Overrides, compose};
use crate::config::Config;
use crate::serve::cancel_on_signal;
use crate::telemetry;
use crate::terminal::{Display, complain, exit_code, note, print_json, print_result, say};

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
    check_outcome(args, &target)?;
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
    let is_interrupted = cancel.is_cancelled() && !job.status().is_terminal();
    let used = use_patch(args, &target, &job, is_interrupted);
    // What the run cost something for is printed also if it cannot be written.
    let applied = used.as_ref().is_ok_and(|used| used.applied);
    if args.json {
        print_json(&job, is_interrupted, applied);
    } else {
        print_result(&job);
        for line in used.iter().flat_map(|used| &used.lines) {
            say(line);
        }
        say(&next_step(&target, &job, applied, is_interrupted));
    }
    if let Err(error) = used {
        // The last line of the output stays the result.
        complain(error.as_ref());
        return Ok(ExitCode::FAILURE);
    }
    Ok(if is_interrupted { ExitCode::from(INTERRUPTED) } else { exit_code(&job) })
}

/// The exit code of a program that a signal ends, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Checks that what is asked for can be done with this repository.
fn check_outcome(args: &RunArgs, target: &Target) -> Result<(), String> {
    match target {
        Target::Folder(..) if args.pr => Err(format!(
            "`{}` is a folder, which has no pull requests; use --push for a branch in it, or give the repository's address",
            args.repo
        )),
        _ if args.output.as_ref().is_some_and(|file| !is_writable(file)) => Err(format!(
            "the patch cannot be written to {}; name a file in a folder that exists and that you may write to",
            args.output.as_deref().unwrap_or(Path::new("")).display()
        )),
        Target::Github(_) if args.apply => Err(
            "--apply changes the files of a folder; use --push or --pr, or clone the repository and give the folder"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn is_writable(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if file.exists() {
        std::fs::OpenOptions::new().append(true).open(file).is_ok()
    } else {
        tempfile::tempfile_in(folder).is_ok()
    }
}

/// What was done with a patch.
#[derive(Default)]
struct UsedPatch {
    /// Whether the folder was changed.
    applied: bool,
    /// For users.
    lines: Vec<String>,
}

/// Writes the patch where it was asked for.
fn use_patch(
    args: &RunArgs,
    target: &Target,
    job: &Job,
    is_interrupted: bool,
) -> Result<UsedPatch, Box<dyn std::error::Error + Send + Sync>> {
    let mut done = UsedPatch::default();
    let Some(fix) = job.fixed().filter(|fix| !fix.contents.is_empty()) else { return Ok(done) };
    if let Some(file) = &args.output {
        let diff = match target {
            Target::Folder(_, folder) => apply::full_diff(folder, fix)?,
            Target::Github(_) if fix.diff.ends_with('…') => {
                return Err(
                    "the patch is too long to be kept without its repository; use --push, or give a clone of it".into(),
                );
            }
            Target::Github(_) => fix.diff.clone(),
        };
        std::fs::write(file, diff)
            .map_err(|error| format!("the patch cannot be written to {}: {error}", file.display()))?;
        done.lines.push(format!("The patch is in {}.", file.display()));
    }
    if let (true, Target::Folder(_, folder)) = (args.apply, target) {
        // Without a verdict the tests did not run to their end.
        if is_interrupted || job.verdict.is_none_or(Verdict::is_harmful) {
            let reason = "Nothing was changed in the folder, because the tests did not end, or fail with the change.";
            done.lines.push(reason.to_owned());
        } else {
            apply::apply(folder, fix)?;
            done.applied = true;
            done.lines.push(format!("{} changed in {}.", count(fix.contents.len(), "file"), folder.display()));
        }
    }
    Ok(done)
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Returns what a user would do next.
fn next_step(target: &Target, job: &Job, applied: bool, is_interrupted: bool) -> String {
    let has_change = job.fixed().is_some_and(|fix| !fix.contents.is_empty());
    let is_harmful = job.verdict.is_some_and(Verdict::is_harmful);
    let next = match target {
        _ if is_interrupted && !has_change => "It was interrupted before a change was made. Run it again.",
        _ if is_interrupted => "It was interrupted: the change above is not tested to its end. Run it again.",
        _ if job.published.pull_request.is_some() => "Review the pull request.",
        _ if job.published.pushed.is_some() => "Review the branch, and open a pull request from it.",
        _ if !has_change && job.verdict == Some(Verdict::AnalysisOnly) => {
            "Set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL to have a fix written."
        }
        _ if !has_change => "See the reason above; more details in the issue's text, or --instructions, may help.",
        _ if is_harmful => "Read the failing tests above; --instructions can say what to do differently.",
        _ if applied => "Review the change with `git diff`.",
        Target::Folder(..) => "Run it with --apply to change the files, or with --push to make a branch.",
        Target::Github(_) => "Run it with --pr to open a pull request, or with -o FILE to keep the patch.",
    };
    format!("Next: {next}")
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
        if !Path::new(repo).exists()
            && let Ok(name) = repo.parse()
        {
            return Ok(Target::Github(name));
        }
        let path = Path::new(repo).canonicalize().map_err(|error| {
            format!("the repository `{repo}` cannot be opened: {error}; give a folder, owner/name or an https address")
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
    if let Some(source) = forge_issue(source, config, &platform, &repo)? {
        let remote = forge(app, &source.platform)?.issue(&source).await?;
        return Ok(remote.into_inbound(source));
    }
    let text = if source == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(source).map_err(|error| {
            format!("the issue `{source}` cannot be read: {error}; give a file, `-`, owner/name#42, or the address of an issue")
        })?
    };
    let (title, body) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    if title.trim().is_empty() {
        return Err(format!("the issue `{source}` is empty; write a title in its first line").into());
    }
    let number = NO_NUMBER;
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

/// Returns the issue on the forge that a text names: `{clone url}/owner/name/issues/42`, `owner/name#42`, or `#42` in a repository of
/// the forge. Nothing if it names a file.
fn forge_issue(
    text: &str,
    config: &Config,
    platform: &PlatformId,
    repo: &RepoName,
) -> Result<Option<IssueRef>, String> {
    if text.contains("://") {
        return issue_of_url(text, config).map(Some);
    }
    if Path::new(text).exists() {
        return Ok(None);
    }
    let Some((name, number)) = text.split_once('#') else { return Ok(None) };
    let Ok(number) = number.parse::<u64>() else { return Ok(None) };
    let repo = match (name, platform) {
        ("", platform) if *platform == GITHUB => repo.clone(),
        ("", _) => return Err(format!("a folder has no issue `{text}`; write owner/name{text}, or give its address")),
        (name, _) => name.parse().map_err(|error| format!("`{text}` names no issue: {error}"))?,
    };
    Ok(Some(IssueRef::on_forge(GITHUB, repo, IssueNumber::same(number))))
}

/// `{clone url}/owner/name/issues/42`, with whatever a browser adds to it: `?tab=…`, `#issuecomment-12`.
fn issue_of_url(text: &str, config: &Config) -> Result<IssueRef, String> {
    let wrong = || {
        format!("`{text}` is no address of an issue; it should be {}/OWNER/NAME/issues/NUMBER", config.github.clone_url)
    };
    let plain = text.split(['?', '#']).next().unwrap_or(text);
    let path = plain.strip_prefix(&config.github.clone_url).ok_or_else(wrong)?;
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
