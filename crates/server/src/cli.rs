//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::command;
use crate::config::{Config, Layers};
use crate::terminal::complain;

/// Turns issues into reviewed pull requests.
#[derive(Debug, Parser)]
#[command(name = "patchwright", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes of `run` and `demo`: 0 a test shows the fix; 3 a change was made that no test proves; \
    4 analysis only (no model is configured); 5 the change did not stand the tests; 1 anything else went wrong; \
    2 the command line or the configuration is wrong.";

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The configuration file (by itself patchwright.toml, if it is there)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one setting, over file and environment; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server: webhooks in, pull requests out
    Serve,
    /// Does one whole job from the terminal
    Run(RunArgs),
    /// Shows a whole job on a small repository of its own; needs nothing configured
    Demo(DemoArgs),
    /// Shows, retries and cancels the jobs of a running server
    Jobs(JobsArgs),
    /// Adds and changes people, straight in the database
    User(UserArgs),
    /// Brings the database's schema up to date
    Migrate,
    /// Copies the SQLite database to a file, also while the server runs
    Backup {
        /// A new file
        file: PathBuf,
    },
    /// Puts a backup in the place of the SQLite database; the server must not run
    Restore {
        /// A file that `backup` wrote
        file: PathBuf,
    },
    /// Prints every setting with its value and where it came from
    Config,
}

/// `patchwright run`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(crate) struct RunArgs {
    /// A folder, or the address of a repository
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) repo: String,
    /// A file (first line the title), `-` for standard input, or the address of an issue on the forge
    #[arg(long, value_name = "FILE|-|URL")]
    pub(crate) issue: String,
    /// The branch to start from (otherwise the repository's own)
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// What else to ask for
    #[arg(long, value_name = "TEXT")]
    pub(crate) instructions: Option<String>,
    /// Pushes a branch and opens a pull request
    #[arg(long, group = "outcome")]
    pub(crate) pr: bool,
    /// Pushes a branch
    #[arg(long, group = "outcome")]
    pub(crate) push: bool,
    /// Prints the patch and changes nothing anywhere; this is the default
    #[arg(long, group = "outcome")]
    pub(crate) patch: bool,
    /// Prints one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// `patchwright user`
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Adds a person; the password comes from standard input, one line
    Add {
        /// What they log in with
        login: String,
        /// What they may do: admin or member
        #[arg(long, default_value = "admin")]
        role: String,
    },
    /// Lists all people
    List,
    /// Sets a new password, from standard input, and ends the person's sessions and tokens
    Password {
        /// Whose
        login: String,
    },
    /// Shuts a person out, and ends their sessions and tokens
    Disable {
        /// Whom
        login: String,
    },
}

/// `patchwright jobs`
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    pub(crate) command: JobsCommand,
    /// The server's address (otherwise the one that BIND names)
    #[arg(long, global = true, env = "PATCHWRIGHT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The server's token (its setting `API_TOKEN`)
    #[arg(long, global = true, env = "PATCHWRIGHT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Prints the server's answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Lists jobs, newest first
    List {
        /// Only of this status: queued, running, succeeded, failed, cancelled
        #[arg(long)]
        status: Option<String>,
        /// Only of this repository, `owner/name`
        #[arg(long)]
        repository: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows one job with its stages
    Show {
        /// The job's id
        id: patchwright_domain::JobId,
    },
    /// Starts a job again at the first stage that did not succeed
    Retry {
        /// The job's id
        id: patchwright_domain::JobId,
    },
    /// Stops a job, wherever it stands
    Cancel {
        /// The job's id
        id: patchwright_domain::JobId,
    },
}

/// `patchwright demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Prints one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads the command line, runs the command, says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let layers = Layers::from_process(cli.common.config, cli.common.set);
    let config = match Config::load(&layers) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve => command::serve::run(config).await,
            Command::Run(args) => command::run::run(config, args).await,
            Command::Demo(args) => command::demo::run(config, args).await,
            Command::Jobs(args) => command::jobs::run(config, args).await,
            Command::User(args) => command::user::run(config, args).await,
            Command::Migrate => command::migrate::run(config).await,
            Command::Backup { file } => command::backup::backup(config, &file).await,
            Command::Restore { file } => command::backup::restore(config, &file).await,
            Command::Config => Ok(command::config::run(&config)),
        }
    });
    // Work on blocking threads that nobody waits for any more must not hold the process up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["patchwright", "run", "--repo", ".", "--issue", "-", "--pr", "--push"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "serve", "--set", "BIND"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "jobs", "retry", "no-id"]).is_err());
    }
}
