//! The arguments of `patchwright verify`.

use std::path::PathBuf;

use clap::Args;
use patchwright_domain::SandboxGrants;

/// What the repository's code may do in the sandbox beyond the rules.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Lets the tests do what `.patchwright.toml` asks for: `network=HOST`, `image=NAME`, `env=NAME`, or `packages` for
    /// package managers that run code; may be repeated
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
}

impl GrantArgs {
    /// Returns the grants.
    ///
    /// # Errors
    /// A message for users about the first one that cannot be used.
    pub(crate) fn read(&self) -> Result<SandboxGrants, String> {
        let mut grants = SandboxGrants::default();
        for grant in &self.grants {
            let (kind, value) = grant.split_once('=').unwrap_or((grant, ""));
            match kind {
                "network" => grants.network.push(value.to_lowercase()),
                "image" => grants.images.push(value.to_owned()),
                "env" => grants.env.push(value.to_owned()),
                "packages" => grants.packages_with_code = true,
                _ => {
                    let forms = "`network=HOST`, `image=NAME`, `env=NAME` or `packages`";
                    return Err(format!("`--grant {grant}` is none of {forms}"));
                }
            }
        }
        grants.checked().map_err(|error| format!("`--grant`: {error}"))
    }
}

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
    #[command(flatten)]
    pub(crate) grants: GrantArgs,
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
