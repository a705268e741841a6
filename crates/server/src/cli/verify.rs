//! The arguments of `patchwright verify`.

use std::path::PathBuf;

use clap::Args;

/// `patchwright verify`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).args(["head", "patch"]))]
pub(crate) struct VerifyArgs {
    /// A repository on this machine
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// The branch, tag or commit before the change
    #[arg(long, value_name = "REV")]
    pub(crate) base: String,
    /// The branch, tag or commit after the change
    #[arg(long, value_name = "REV")]
    pub(crate) head: Option<String>,
    /// The change as a unified diff to the base; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) patch: Option<PathBuf>,
    /// The command that runs all tests, in place of what is found
    #[arg(long, value_name = "COMMAND")]
    pub(crate) test_command: Option<String>,
    /// Seconds for all test runs together (default: the setting `VERIFY_TIMEOUT`)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,
    /// Uses nothing of the folder beside its commits: no virtual environment, installed packages or ignored files
    #[arg(long)]
    pub(crate) clean: bool,
    /// Prints one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}
