//! `patchwright jobs`

use patchwright_protocol::jobs::{JobDetails, JobQuery, JobSummary};

use super::CommandResult;
use super::remote::Remote;
use crate::cli::JobsCommand;
use crate::terminal::say;

pub(crate) async fn run(remote: Remote, command: JobsCommand) -> CommandResult {
    let client = &remote.client;
    let job = match command {
        JobsCommand::List { status, repository, limit } => {
            let query = JobQuery { status, repository, limit: Some(limit), ..JobQuery::default() };
            return remote.print(client.jobs(&query).await, |page| page.items.iter().for_each(|job| say(&line(job))));
        }
        JobsCommand::Show { id } => client.job(&id.to_string()).await,
        JobsCommand::Retry { id } => client.retry_job(&id.to_string()).await,
        JobsCommand::Approve { id } => client.approve_job(&id.to_string()).await,
        JobsCommand::Plan { id, words } => client.revise_plan(&id.to_string(), &words).await,
        JobsCommand::Cancel { id } => client.cancel_job(&id.to_string()).await,
    };
    remote.print(job, describe)
}

/// Prints one job of a list.
fn line(job: &JobSummary) -> String {
    let issue = format!("{}#{}", job.repository, job.issue_number);
    let verdict = job.verdict.as_deref().unwrap_or_default();
    format!("{}  {:<10} {issue:<30} {verdict:<16} {}", job.job_id, job.status, job.issue_title)
}

fn describe(job: &JobDetails) {
    say(&format!("{}  {}", job.job_id, job.status));
    say(&format!("{}/{}#{}  {}", job.owner, job.repo, job.issue_number, job.issue_title));
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
        say(&format!("failed: {}", failure.reason));
        say(&format!("what to do: {}", failure.remedy));
    }
    if let Some(pull_request) = &job.pull_request {
        say(&pull_request.url);
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
