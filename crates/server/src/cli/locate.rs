//! The arguments of `patchwright locate`.

use std::path::PathBuf;

use clap::Args;

/// `patchwright locate`
#[derive(Debug, Args)]
pub(crate) struct LocateArgs {
    /// A repository on this machine
    #[arg(long, value_name = "PATH")]
    pub(crate) repo: PathBuf,
    /// A file with the text of the issue, or `-` for standard input; its first line is the title
    #[arg(long, value_name = "FILE|-")]
    pub(crate) issue: PathBuf,
    /// The branch, tag or commit to read
    #[arg(long, default_value = "HEAD")]
    pub(crate) rev: String,
    /// A label of the issue; may be given several times
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Ranks only the files of this folder of the repository
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<String>,
    /// How many files to show
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// Caches the index in this folder, so that the next run reads only what has changed
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}
