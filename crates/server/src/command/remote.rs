//! Access to a running server over its API.

use std::process::ExitCode;

use patchwright_client::{Client, ClientError};
use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions};
use serde::Serialize;
use serde_json::Value;

use super::CommandResult;
use crate::cli::RemoteArgs;
use crate::config::Config;
use crate::terminal::say;

/// A request to the server failed; the message names the options that may help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{0}; name the server with --server or PATCHWRIGHT_SERVER")]
    Unreachable(ClientError),
    #[error("{0}; pass an API token of yours, or the server's API_TOKEN, with --token or PATCHWRIGHT_TOKEN")]
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
        let server = args.server.unwrap_or_else(|| format!("http://{}", config.bind));
        let token = args.token.map(Secret::new).or(config.api_token);
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

    /// Prints the log of a task, part by part, up to its current end.
    pub(crate) async fn print_log(&self, task: &str) -> CommandResult {
        let mut from = 0;
        loop {
            let part = self.client.task_log(task, from).await.map_err(RemoteError::from)?;
            if part.next > from {
                say(part.text.trim_end_matches('\n'));
            }
            if part.next >= part.end || part.next <= from {
                return Ok(ExitCode::SUCCESS);
            }
            from = part.next;
        }
    }
}

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
    say(&columns.iter().map(|column| text(&value, column)).collect::<Vec<_>>().join("  "));
}

/// Prints the items of a page as a table.
pub(crate) fn table(columns: &[&str], page: &impl Serialize) {
    let page = json(page);
    let items: Vec<Vec<String>> = page["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| columns.iter().map(|column| text(item, column)).collect())
        .collect();
    let width = |place: usize| items.iter().map(|row| row[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in &items {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(cells.join("  ").trim_end());
    }
    if let Some(cursor) = page["next_cursor"].as_str() {
        say(&format!("more: --cursor {cursor}"));
    }
}
