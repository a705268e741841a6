//! Access to a running server over its API.

use std::process::ExitCode;
use std::time::Duration;

use console::{Alignment, measure_text_width, pad_str};
use patchwright_client::{Client, ClientError};
use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions};
use serde::Serialize;
use serde_json::Value;

use super::CommandResult;
use crate::cli::RemoteArgs;
use crate::config::Config;
use crate::saved_logins::SavedLogins;
use crate::terminal::{note, printable, say};

/// A request to the server failed; the message names the options that may help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{0}; name the server with --server or PATCHWRIGHT_SERVER")]
    Unreachable(ClientError),
    #[error("{0}; log in with `patchwright login`, or pass an API token with --token or PATCHWRIGHT_TOKEN")]
    Unauthorized(ClientError),
    #[error(transparent)]
    Other(ClientError),
}

impl From<ClientError> for RemoteError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::Unreachable(error),
            ClientError::Unauthorized { .. } => Self::Unauthorized(error),
            error => Self::Other(error),
        }
    }
}

/// The server, and how its responses are shown.
pub(crate) struct Remote {
    pub(crate) client: Client,
    json: bool,
}

impl Remote {
    pub(crate) fn new(config: Config, args: RemoteArgs) -> Result<Self, patchwright_http::BuildError> {
        patchwright_http::install_tls();
        let options = HttpOptions { ca_bundle: config.network.ca_bundle, ..HttpOptions::default() };
        let saved = SavedLogins::read(config.user_config.as_deref()).unwrap_or_else(|error| {
            note(&error.to_string());
            SavedLogins::default()
        });
        let server = args.server.or_else(|| saved.last.clone());
        let server = server.unwrap_or_else(|| format!("http://{}", config.bind));
        let token = args.token.map(Secret::new).or_else(|| saved.token(&server)).or(config.api_token);
        Ok(Self { client: Client::new(HttpClient::new(&options)?, &server, token), json: args.json })
    }

    /// Prints a response as JSON if that was requested, otherwise with `show`.
    pub(crate) fn print<T: Serialize>(&self, response: Result<T, ClientError>, show: impl FnOnce(&T)) -> CommandResult {
        let response = response.map_err(RemoteError::from)?;
        if self.json {
            say(&serde_json::to_string(&response)?);
        } else {
            show(&response);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Ends a command whose response has no body.
    pub(crate) fn finish(response: Result<(), ClientError>) -> CommandResult {
        response.map_err(RemoteError::from)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints a line for users who wait, unless the output is JSON.
    pub(crate) fn note(&self, line: &str) {
        if !self.json {
            say(line);
        }
    }

    /// Prints the log of a task, part by part, up to its current end, or to the task's end.
    pub(crate) async fn print_log(&self, task: &str, follow: bool) -> CommandResult {
        let mut from = 0;
        loop {
            // Asked before the log is read: what is written after the end of a task is nothing.
            let is_over = !follow || self.has_ended(task).await?;
            loop {
                let part = self.client.task_log(task, from).await.map_err(RemoteError::from)?;
                if part.next > from {
                    part.text.trim_end_matches('\n').split('\n').for_each(|line| say(&printable(line)));
                }
                let is_whole = part.next >= part.end || part.next <= from;
                from = part.next.max(from);
                if is_whole {
                    break;
                }
            }
            if is_over {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    async fn has_ended(&self, task: &str) -> Result<bool, RemoteError> {
        Ok(matches!(self.client.task(task).await?.status.as_str(), "success" | "failed"))
    }
}

/// How long to wait for more of a log that is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Formats a field for display.
fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a response is JSON")
}

/// Prints some fields on one line.
pub(crate) fn one(columns: &[&str], value: &impl Serialize) {
    let value = json(value);
    say(&columns.iter().map(|column| printable(&text(&value, column))).collect::<Vec<_>>().join("  "));
}

/// The widest column, but the last, in characters.
const MAX_COLUMN: usize = 60;

/// Prints the items of a page as a table with headings.
pub(crate) fn table(columns: &[&str], page: &impl Serialize) {
    let page = json(page);
    let rows: Vec<Vec<String>> = page["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| columns.iter().map(|column| printable(&text(item, column))).collect())
        .collect();
    if rows.is_empty() {
        note("There is nothing to show.");
    } else {
        let heading: Vec<String> = columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
        let width = |place: usize| {
            let all = rows.iter().chain([&heading]).map(|row| measure_text_width(&row[place])).max();
            all.unwrap_or(0).min(MAX_COLUMN)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let last = columns.len() - 1;
        for row in [&heading].into_iter().chain(&rows) {
            let pad = |(place, cell): (usize, &String)| {
                let width = if place == last { measure_text_width(cell) } else { widths[place] };
                pad_str(cell, width, Alignment::Left, Some("…")).into_owned()
            };
            let cells: Vec<String> = row.iter().enumerate().map(pad).collect();
            say(cells.join("  ").trim_end());
        }
    }
    if let Some(cursor) = page["next_cursor"].as_str() {
        note(&format!("There are more: add --cursor {cursor}"));
    }
}
