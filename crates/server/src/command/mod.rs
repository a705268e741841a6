//! One module per command.

pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod issues;
pub(crate) mod jira;
pub(crate) mod jobs;
pub(crate) mod locate;
pub(crate) mod login;
pub(crate) mod manage;
pub(crate) mod migrate;
pub(crate) mod node;
pub(crate) mod remote;
pub(crate) mod repositories;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod user;
pub(crate) mod verify;

use std::process::ExitCode;

/// The result of a command: an exit code, or an error to print.
pub(crate) type CommandResult = Result<ExitCode, Box<dyn std::error::Error + Send + Sync>>;

/// Prints the error of a command that answers in JSON as JSON too, and returns the result.
fn print_error(result: CommandResult, is_json: bool) -> CommandResult {
    if let Err(error) = &result
        && is_json
    {
        crate::terminal::print_json_error(error.as_ref());
    }
    result
}
