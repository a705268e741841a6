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
    /// A label of the issue; may be given several times
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Looks in this folder of the repository only
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<String>,
    /// How many files to show
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// Keeps in this folder what was read, so that the next look reads only what has changed
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvalCommand {
    /// Measures how often the files to mend are found, on a benchmark or on a repository's own history
    Locate(EvalArgs),
}

/// `patchwright eval locate`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["index", "from_history"]))]
pub(crate) struct EvalArgs {
    /// Instances, one JSON a line: `instance_id`, `repo`, `base_commit`, `gold_files`, `problem_statement`
    #[arg(long, value_name = "FILE", requires = "repos")]
    pub(crate) index: Option<PathBuf>,
    /// A folder of repositories named `owner__name`
    #[arg(long, value_name = "DIR")]
    pub(crate) repos: Option<PathBuf>,
    /// A repository whose commits that close issues are the instances: the message is the text, the source files that it
    /// touched are to be found in the commit before it
    #[arg(long, value_name = "PATH")]
    pub(crate) from_history: Option<PathBuf>,
    /// How many of such commits, newest first
    #[arg(long, value_name = "N", default_value_t = 100, requires = "from_history")]
    pub(crate) most: usize,
    /// How many instances at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Keeps in this folder what was read; times are then those of a second look
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Writes what was found, one JSON a line
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
    /// Writes the numbers behind the ranks, for `cargo run --example fit`
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
}
