//! `patchwright jobs`

use std::process::ExitCode;
use std::time::Duration;

use patchwright_protocol::jobs::{JobDetails, JobQuery, JobSummary};
use serde_json::{Value, json};

use super::CommandResult;
use super::remote::{Remote, RemoteError, table};
use crate::cli::JobsCommand;
use crate::terminal::{printable, say};

const JOB: [&str; 7] = ["job_id", "status", "issue", "verdict", "pull_request", "created_at", "issue_title"];
/// How long to wait between two looks at a job that is watched.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) async fn run(remote: Remote, command: JobsCommand) -> CommandResult {
    let client = &remote.client;
    let find = async |reference: String| client.find_job(&reference).await.map_err(RemoteError::from);
    let job = match command {
        JobsCommand::List { status, repository, cursor, limit } => {
            let query = JobQuery { status, repository, cursor, limit: Some(limit), ..JobQuery::default() };
            return remote.print(client.jobs(&query).await, |page| {
                let items: Vec<_> = page.items.iter().map(row).collect();
                table(&JOB, &json!({ "items": items, "next_cursor": page.next_cursor }));
            });
        }
        JobsCommand::Show { id, watch: true } => return watch(&remote, &find(id).await?).await,
        JobsCommand::Logs { id, follow } => {
            let task = client.newest_task(&find(id).await?).await.map_err(RemoteError::from)?;
            return remote.print_log(&task.ok_or("the job has not started yet, so it has no log")?, follow).await;
        }
        JobsCommand::Show { id, .. } => client.job(&find(id).await?).await,
        JobsCommand::Retry { id } => client.retry_job(&find(id).await?).await,
        JobsCommand::Approve { id } => client.approve_job(&find(id).await?).await,
        JobsCommand::Plan { id, words } => client.revise_plan(&find(id).await?, &words).await,
        JobsCommand::Cancel { id } => client.cancel_job(&find(id).await?).await,
    };
    remote.print(job, describe)
}

/// Returns the columns of one job of a list.
fn row(job: &JobSummary) -> Value {
    let issue = job.issue_key.clone().unwrap_or_else(|| format!("{}#{}", job.repository, job.issue_number));
    let pull_request = job.pull_request.as_ref().map(|pull| format!("#{}", pull.number));
    json!({
        "job_id": job.job_id, "status": job.status, "issue": issue, "verdict": job.verdict, "pull_request": pull_request,
        "created_at": job.created_at, "issue_title": job.issue_title,
    })
}

/// Prints what changes of a job until it ends.
async fn watch(remote: &Remote, id: &str) -> CommandResult {
    let (mut known, mut waited) = (Vec::new(), false);
    loop {
        let job = remote.client.job(id).await.map_err(RemoteError::from)?;
        let now: Vec<(String, String)> =
            job.stages.iter().map(|stage| (stage.name.clone(), stage.status.clone())).collect();
        let is_over = matches!(job.status.as_str(), "succeeded" | "failed" | "cancelled" | "refused");
        if is_over {
            let succeeded = job.status == "succeeded";
            remote.print(Ok(job), describe)?;
            return Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        for (name, status) in now.iter().filter(|stage| !known.contains(*stage)) {
            if status != "pending" {
                remote.note(&format!("{name:<8} {status}"));
            }
        }
        if job.awaits_approval && !waited {
            remote.note("waiting for approval of its plan");
        }
        waited = job.awaits_approval;
        known = now;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn describe(job: &JobDetails) {
    say(&format!("{}  {}", job.job_id, job.status));
    say(&format!("{}/{}#{}  {}", job.owner, job.repo, job.issue_number, printable(&job.issue_title)));
    if let Some(position) = job.queue_position {
        let estimate = job.estimated_wait_seconds;
        let estimate = estimate.map(|seconds| format!(", about {}", duration(seconds))).unwrap_or_default();
        say(&format!("queued: number {position} in its repository{estimate}"));
    }
    if job.awaits_approval {
        say("waiting: its plan must be approved, with `patchwright jobs approve` or on its page");
    }
    for stage in &job.stages {
        say(&format!("  {:<8} {}", stage.name, stage.status));
    }
    if let Some(failure) = &job.failure {
        say(&format!("failed: {}", printable(&failure.reason)));
        say(&format!("what to do: {}", printable(&failure.remedy)));
    }
    if let Some(pull_request) = &job.pull_request {
        say(&printable(&pull_request.url));
    }
}

/// Formats an approximate duration.
fn duration(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
