//! The arguments of `patchwright locate`.

use std::path::PathBuf;

use clap::Args;

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
