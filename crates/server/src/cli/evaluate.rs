//! The arguments of `patchwright evaluate`.

use std::path::PathBuf;

use clap::Args;
use patchwright_domain::RepoName;

/// `patchwright evaluate`
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// A repository on this machine, with its history and the environment of its tests
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// The branch, tag or commit whose past is used
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub(crate) rev: String,
    /// How many of the newest fixes with a test are repeated; those that cannot be are not counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) last: usize,
    /// The most money that all of them may cost together, in the unit of `LLM_PROMPT_PRICE`
    #[arg(long, value_name = "COST", value_parser = budget)]
    pub(crate) budget: Option<u64>,
    /// The repository on GitHub whose issues the commits name; without it, the commit's message is the issue
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) issues: Option<RepoName>,
    /// The folder of the results; what it has of an earlier run is not repeated
    #[arg(long, value_name = "DIR", default_value = "patchwright-evaluation")]
    pub(crate) out: PathBuf,
    /// Lists the fixes that would be repeated, and asks no model
    #[arg(long)]
    pub(crate) list: bool,
    /// Prints one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads an amount of money, in millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to be small and positive"
)]
fn budget(text: &str) -> Result<u64, String> {
    let amount: f64 = text.parse().map_err(|_| "write it as a number, such as 2.50".to_owned())?;
    if !(0.0..=1_000_000.0).contains(&amount) {
        return Err("it is negative, or more than a million".to_owned());
    }
    Ok((amount * 1_000_000.0).round() as u64)
}
