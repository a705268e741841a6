//! `patchwright jobs`: jobs of a running server, over its API.

use std::process::ExitCode;

use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use serde_json::Value;

use super::CommandResult;
use crate::cli::{JobsArgs, JobsCommand};
use crate::config::Config;
use crate::terminal::say;

/// The server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{server} cannot be reached ({detail}); name the server with --server or PATCHWRIGHT_SERVER")]
    Unreachable { server: String, detail: String },
    #[error("{detail}; give the server's API_TOKEN with --token or PATCHWRIGHT_TOKEN")]
    Unauthorized { detail: String },
    #[error("{detail}")]
    Refused { detail: String },
    #[error("{server} answered something that is no answer of Patchwright (status {status})")]
    Nonsense { server: String, status: u16 },
}

struct Remote {
    http: HttpClient,
    server: String,
    token: Option<Secret>,
}

impl Remote {
    async fn ask(&self, request: Request) -> Result<Value, RemoteError> {
        let request = match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let answer = self
            .http
            .send(request, Retry::Never)
            .await
            .map_err(|error| RemoteError::Unreachable { server: self.server.clone(), detail: error.to_string() })?;
        let body: Value =
            answer.json().map_err(|_| RemoteError::Nonsense { server: self.server.clone(), status: answer.status })?;
        if answer.is_success() { Ok(body) } else { Err(refusal(&answer, &body)) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/jobs{path}", self.server.trim_end_matches('/'))
    }
}

fn refusal(answer: &Response, body: &Value) -> RemoteError {
    let detail = body["detail"].as_str().or(body["error"].as_str()).unwrap_or("the server refused").to_owned();
    if answer.status == 401 { RemoteError::Unauthorized { detail } } else { RemoteError::Refused { detail } }
}

pub(crate) async fn run(config: Config, args: JobsArgs) -> CommandResult {
    patchwright_http::install_tls();
    let token = args.token.map(Secret::new).or(config.api_token);
    let server = args.server.unwrap_or_else(|| format!("http://{}", config.bind));
    let options = HttpOptions { ca_bundle: config.ca_bundle, ..HttpOptions::default() };
    let remote = Remote { http: HttpClient::new(&options)?, server, token };
    let request = match &args.command {
        JobsCommand::List { status, repository, limit } => {
            let mut request = Request::get(remote.url("")).query("limit", limit.to_string());
            for (name, value) in [("status", status), ("repository", repository)] {
                if let Some(value) = value {
                    request = request.query(name, value);
                }
            }
            request
        }
        JobsCommand::Show { id } => Request::get(remote.url(&format!("/{id}"))),
        JobsCommand::Retry { id } => Request::post(remote.url(&format!("/{id}/retry"))),
        JobsCommand::Cancel { id } => Request::post(remote.url(&format!("/{id}/cancel"))),
    };
    let answer = remote.ask(request).await?;
    if args.json {
        say(&answer.to_string());
    } else if let Some(items) = answer["items"].as_array() {
        for job in items {
            say(&line(job));
        }
    } else {
        describe(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("-")
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
        say(&format!("waits: its turn is number {position} in its repository"));
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
