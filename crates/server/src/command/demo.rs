//! `patchwright demo`: runs a whole job through the real server on a small built-in repository.

use std::sync::Arc;
use std::time::{Duration, Instant};

use console::style;
use patchwright_core::Secret;
use patchwright_core::forge::Tracker as _;
use patchwright_core::llm::Llm;
use patchwright_core::query::Queries as _;
use patchwright_core::webhook::SigningKeys;
use patchwright_domain::{BranchName, Issue, IssueId, IssueNumber, IssueRef, IssueStatus, Job, JobId, RepoName};
use patchwright_gitops_gix::seed_repository;
use patchwright_http::{Request, Retry};
use patchwright_llm_openai::Recorded;
use patchwright_local::{DELIVERY_HEADER, EVENT_HEADER, LOCAL, SIGNATURE_HEADER};
use patchwright_management::generate_secret;
use patchwright_sandbox::SandboxPolicy;
use serde::Deserialize;

use super::CommandResult;
use crate::cli::DemoArgs;
use crate::compose::Overrides;
use crate::config::Config;
use crate::demo;
use crate::serve::Server;
use crate::telemetry;
use crate::terminal::{Display, exit_code, note, print_json, print_result, say};

/// The timeout of the job: two builds of a tiny crate on a slow machine.
const JOB_TIMEOUT: Duration = Duration::from_secs(600);
/// The user who starts the job in the demonstration.
const REQUESTER: &str = "you";

#[derive(Deserialize)]
struct Accepted {
    status: String,
    job_id: JobId,
}

pub(crate) async fn run(config: Config, args: DemoArgs) -> CommandResult {
    telemetry::start(&config, true);
    let folder = tempfile::Builder::new().prefix("patchwright-demo-").tempdir()?;
    let recorded = !config.llm.is_configured();
    let secret = Secret::new(generate_secret(""));
    let database = format!("sqlite://{}", folder.path().join("demo.db").display());
    let data_dir = folder.path().display().to_string();
    let config = config.with_flags(&[
        ("DATA_DIR", &data_dir),
        ("DATABASE_URL", &database),
        ("BIND", "127.0.0.1:0"),
        ("WEBHOOK_SECRET", secret.expose()),
        ("WEBHOOK_SECRET_PREVIOUS", ""),
        ("ALLOWED_REPOS", ""),
        ("ALLOWED_USERS", ""),
    ])?;
    let display = Arc::new(Display::new());
    let llm: Option<Arc<dyn Llm>> =
        if recorded { Some(Arc::new(Recorded::parse(demo::MODEL, demo::RECORDED)?)) } else { None };
    let overrides = Overrides {
        progress: Some(display.clone()),
        sandbox: Some(SandboxPolicy::BestEffort),
        llm,
        max_attempts: Some(1),
        ..Overrides::default()
    };

    note(&format!(
        "{} a small Rust library with a bug and a failing test, in {}",
        style("Repository:").bold(),
        folder.path().display()
    ));
    note(&format!("{} {}", style("Issue:").bold(), demo::TITLE));
    let model = if recorded {
        "recorded answers (set LLM_BASE_URL to use a real model)".to_owned()
    } else {
        config.llm.model.clone()
    };
    note(&format!("{} {model}", style("Model:").bold()));
    note("Its tests run here as your user (SANDBOX=best-effort).\n");

    let app_name = config.triggers.app_name.clone();
    let server = Server::start(config, overrides).await?;
    let result = run_job(&server, &app_name, &SigningKeys::new([&secret]), &display).await;
    let job = match result {
        Ok(job) => job,
        Err(error) => {
            server.stop().await?;
            return Err(error);
        }
    };
    let issue = issue_ref()?;
    let comments = server.app().local.comments(&issue).await?;
    server.stop().await?;
    if args.json {
        print_json(&job, false, false);
    } else {
        print_result(&job);
        say(&format!("\n{}", style("The comments on the issue").bold()));
        for comment in comments {
            let is_text = |line: &&str| !line.trim().is_empty() && !line.starts_with(['<', '|', '#']);
            let visible: Vec<&str> = comment.body.lines().filter(is_text).take(2).collect();
            say(&format!("  {}: {}", style(&comment.author).cyan(), visible.join("\n    ")));
        }
    }
    Ok(exit_code(&job))
}

fn issue_ref() -> Result<IssueRef, patchwright_domain::id::InvalidId> {
    let repo: RepoName = demo::REPOSITORY.parse()?;
    Ok(IssueRef::on_forge(LOCAL, repo, IssueNumber::same(1)))
}

async fn run_job(
    server: &Server,
    app_name: &str,
    keys: &SigningKeys,
    display: &Display,
) -> Result<Job, Box<dyn std::error::Error + Send + Sync>> {
    let app = server.app();
    let issue = issue_ref()?;
    let place = app.local.path_of(&issue.repo);
    let now = jiff::Timestamp::now();
    tokio::task::spawn_blocking(move || {
        seed_repository(&place, &BranchName::parse("main").expect("a branch name"), demo::FILES, now)
    })
    .await??;
    let opened = Issue {
        id: IssueId::from_uuid(uuid::Uuid::now_v7()),
        source: issue.clone(),
        title: demo::TITLE.to_owned(),
        body: demo::BODY.to_owned(),
        author: REQUESTER.to_owned(),
        labels: Vec::new(),
        owner: None,
        status: IssueStatus::Pending,
        created_at: now,
        updated_at: now,
    };
    app.local.open_issue(opened).await?;
    let request_text = format!("@{app_name} fix");
    let comment_id = app.local.comment_as(REQUESTER, &issue, &request_text).await?;

    let body = serde_json::json!({
        "action": "commented",
        "repository": issue.repo.to_string(),
        "actor": REQUESTER,
        "issue": {"number": 1, "title": demo::TITLE, "body": demo::BODY, "author": REQUESTER},
        "comment": {"id": comment_id, "body": request_text},
    });
    let body = body.to_string();
    let signature = keys.sign(body.as_bytes()).ok_or("there is no webhook secret")?;
    let began = Instant::now();
    let request = Request::post(format!("http://{}/api/webhook", server.address()))
        .raw_json(body)
        .header(EVENT_HEADER, "issue")
        .header(DELIVERY_HEADER, uuid::Uuid::now_v7().to_string())
        .header(SIGNATURE_HEADER, signature);
    let answer = app.http.send(request, Retry::Never).await?;
    if !answer.is_success() {
        return Err(format!("the server refused the webhook: {} {}", answer.status, answer.excerpt()).into());
    }
    let accepted: Accepted = answer.json()?;
    note(&format!(
        "{} a signed webhook was answered {} {:?} in {} ms, job {}\n",
        style("→").cyan(),
        answer.status,
        accepted.status,
        began.elapsed().as_millis(),
        accepted.job_id
    ));
    wait_for_end(server, accepted.job_id, began, display).await
}

/// Waits until the job has ended and all its effects are delivered.
async fn wait_for_end(
    server: &Server,
    id: JobId,
    began: Instant,
    display: &Display,
) -> Result<Job, Box<dyn std::error::Error + Send + Sync>> {
    let app = server.app();
    loop {
        // Until it is admitted, there is no job.
        if let Some(job) = app.engine.job(id).await?
            && job.status().is_terminal()
            && app.store.queue_depth().await?.effects == 0
        {
            display.finish();
            return Ok(app.engine.job(id).await?.unwrap_or(job));
        }
        if began.elapsed() > JOB_TIMEOUT {
            return Err("the demonstration did not finish within ten minutes".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
