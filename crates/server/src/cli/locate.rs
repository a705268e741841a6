//! Finding files, and measuring how well.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `patchwright locate`
#[derive(Debug, Args)]
pub(crate) struct LocateArgs {
    /// A repository on this machine
    #[arg(long, value_name = "PATH")]
    pub(crate) repo: PathBuf,
    /// The text of the issue; its first line is the title
    #[arg(long, value_name = "FILE")]
    pub(crate) issue: PathBuf,
    /// A branch, tag or commit
    #[arg(long, default_value = "HEAD")]
    pub(crate) rev: String,
    /// How many files to show
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Measures how often the files to mend are found, on a benchmark
    Locate(EvalArgs),
}

/// `patchwright eval locate`
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Instances, one JSON a line: `instance_id`, `repo`, `base_commit`, `gold_files`, `problem_statement`
    #[arg(long, value_name = "FILE")]
    pub(crate) index: PathBuf,
    /// A folder of repositories named `owner__name`
    #[arg(long, value_name = "DIR")]
    pub(crate) repos: PathBuf,
    /// Writes what was found, one JSON a line
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
    /// Writes the numbers behind the ranks, for `cargo run --example fit`
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
}
