//! `patchwright jobs`: jobs of a running server, over its API.

use patchwright_http::Request;
use serde_json::Value;

use super::CommandResult;
use super::remote::{Remote, text};
use crate::cli::JobsCommand;
use crate::terminal::say;

pub(crate) async fn run(remote: Remote, command: JobsCommand) -> CommandResult {
    let of = |id: &dyn std::fmt::Display, verb: &str| remote.url(&format!("/jobs/{id}{verb}"));
    let request = match &command {
        JobsCommand::List { status, repository, limit } => {
            let mut request = Request::get(remote.url("/jobs")).query("limit", limit.to_string());
            for (name, value) in [("status", status), ("repository", repository)] {
                if let Some(value) = value {
                    request = request.query(name, value);
                }
            }
            request
        }
        JobsCommand::Show { id } => Request::get(of(id, "")),
        JobsCommand::Retry { id } => Request::post(of(id, "/retry")),
        JobsCommand::Approve { id } => Request::post(of(id, "/approve")),
        JobsCommand::Cancel { id } => Request::post(of(id, "/cancel")),
    };
    let show = |answer: &Value| match answer["items"].as_array() {
        Some(items) => items.iter().for_each(|job| say(&line(job))),
        None => describe(answer),
    };
    remote.ask(request, show).await
}

/// One job in a list.
fn line(job: &Value) -> String {
    let issue = format!("{}#{}", text(job, "repository"), job["issue_number"]);
    let outcome = job["verdict"].as_str().unwrap_or_default();
    format!(
        "{}  {:<10} {issue:<30} {outcome:<16} {}",
        text(job, "job_id"),
        text(job, "status"),
        text(job, "issue_title")
    )
}

fn describe(job: &Value) {
    say(&format!("{}  {}", text(job, "job_id"), text(job, "status")));
    say(&format!("{}/{}#{}  {}", text(job, "owner"), text(job, "repo"), job["issue_number"], text(job, "issue_title")));
    if let Some(position) = job["queue_position"].as_u64() {
        let estimate = job["estimated_wait_seconds"].as_u64();
        let about = estimate.map(|seconds| format!(", in about {}", duration(seconds))).unwrap_or_default();
        say(&format!("waits: its turn is number {position} in its repository{about}"));
    }
    if job["awaits_approval"] == true {
        say("waits: its plan has to be approved, with `patchwright jobs approve` or on its page");
    }
    for stage in job["stages"].as_array().into_iter().flatten() {
        say(&format!("  {:<8} {}", text(stage, "name"), text(stage, "status")));
    }
    if let Some(failure) = job["failure"].as_object() {
        say(&format!("failed: {}", failure["reason"].as_str().unwrap_or("-")));
        say(&format!("what to do: {}", failure["remedy"].as_str().unwrap_or("-")));
    }
    if let Some(url) = job["pull_request"]["url"].as_str() {
        say(url);
    }
}

/// A time that need not be exact.
fn duration(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
