//! A running server, over its API.

use std::process::ExitCode;

use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use serde_json::Value;

use super::CommandResult;
use crate::cli::RemoteArgs;
use crate::config::Config;
use crate::terminal::say;

/// The server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{server} cannot be reached ({detail}); name the server with --server or PATCHWRIGHT_SERVER")]
    Unreachable { server: String, detail: String },
    #[error("{detail}; give a token of yours, or the server's API_TOKEN, with --token or PATCHWRIGHT_TOKEN")]
    Unauthorized { detail: String },
    #[error("{detail}")]
    Refused { detail: String },
    #[error("{server} answered something that is no answer of Patchwright (status {status})")]
    InvalidResponse { server: String, status: u16 },
}

/// The server, and how its answers are shown.
pub(crate) struct Remote {
    http: HttpClient,
    server: String,
    token: Option<Secret>,
    json: bool,
}

impl Remote {
    pub(crate) fn new(config: Config, args: RemoteArgs) -> Result<Self, patchwright_http::BuildError> {
        patchwright_http::install_tls();
        let options = HttpOptions { ca_bundle: config.ca_bundle, ..HttpOptions::default() };
        Ok(Self {
            http: HttpClient::new(&options)?,
            server: args.server.unwrap_or_else(|| format!("http://{}", config.bind)),
            token: args.token.map(Secret::new).or(config.api_token),
            json: args.json,
        })
    }

    /// An address under `/api/v1`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server.trim_end_matches('/'))
    }

    async fn send(&self, request: Request) -> Result<Response, RemoteError> {
        let request = match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let sent = self.http.send(request, Retry::Never).await;
        sent.map_err(|error| RemoteError::Unreachable { server: self.server.clone(), detail: error.to_string() })
    }

    /// Prints a log as it is, part by part, to its present end.
    pub(crate) async fn print_log(&self, url: &str) -> CommandResult {
        let mut from = 0_u64;
        loop {
            let part = self.send(Request::get(url).query("from", from.to_string())).await?;
            if !part.is_success() {
                return Err(refusal(&part, &part.json().unwrap_or_default()).into());
            }
            let place = |name: &str| part.header(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(from);
            let (next, end) = (place("x-next"), place("x-end"));
            if next > from {
                say(part.text().trim_end_matches('\n'));
            }
            if next >= end || next <= from {
                return Ok(ExitCode::SUCCESS);
            }
            from = next;
        }
    }

    /// Asks, and prints the answer: as JSON when that was wished, else as `show` says.
    pub(crate) async fn ask(&self, request: Request, show: impl FnOnce(&Value)) -> CommandResult {
        let answer = self.send(request).await?;
        if answer.status == 204 {
            return Ok(ExitCode::SUCCESS);
        }
        let body: Value = answer
            .json()
            .map_err(|_| RemoteError::InvalidResponse { server: self.server.clone(), status: answer.status })?;
        if !answer.is_success() {
            return Err(refusal(&answer, &body).into());
        }
        if self.json {
            say(&body.to_string());
        } else {
            show(&body);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn refusal(answer: &Response, body: &Value) -> RemoteError {
    let detail = body["detail"].as_str().or(body["error"].as_str()).unwrap_or("the server refused").to_owned();
    if answer.status == 401 { RemoteError::Unauthorized { detail } } else { RemoteError::Refused { detail } }
}

/// A field as people read it.
pub(crate) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Some fields on one line.
pub(crate) fn one(columns: &[&str], value: &Value) {
    say(&columns.iter().map(|column| text(value, column)).collect::<Vec<_>>().join("  "));
}

/// The items of a page as a table, each column as wide as it must be.
pub(crate) fn table(columns: &[&str], page: &Value) {
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
