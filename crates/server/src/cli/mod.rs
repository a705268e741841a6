//! The command line.

mod jira;
mod local;
mod locate;
mod remote;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub(crate) use self::jira::JiraCommand;
pub(crate) use self::local::{DemoArgs, NodeArgs, RunArgs, UserArgs, UserCommand};
pub(crate) use self::locate::LocateArgs;
pub(crate) use self::remote::{
    AuditArgs, CredentialsCommand, IssuesCommand, JobsCommand, NodesCommand, NotificationsCommand, RemoteArgs,
    Remotely, RepositoriesCommand, StatsArgs, TasksCommand, TokensCommand, UsersCommand,
};
use crate::command;
use crate::command::CommandResult;
use crate::command::remote::Remote;
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
    /// Runs a node: executes tasks of a server on this machine
    Node(NodeArgs),
    /// Does one whole job from the terminal
    Run(RunArgs),
    /// Shows a whole job on a small repository of its own; needs nothing configured
    Demo(DemoArgs),
    /// Shows, retries and cancels the jobs of a running server
    Jobs(Remotely<JobsCommand>),
    /// Lists, opens, starts and cancels issues of a running server
    Issues(Remotely<IssuesCommand>),
    /// Lists tasks of a running server, and what they said
    Tasks(Remotely<TasksCommand>),
    /// Adds repositories to a running server, and imports their issues
    Repositories(Remotely<RepositoriesCommand>),
    /// Adds, drains and removes the nodes of a running server
    Nodes(Remotely<NodesCommand>),
    /// Adds, replaces and removes what opens forges, on a running server
    Credentials(Remotely<CredentialsCommand>),
    /// Adds and looks after the Jira sites of a running server
    Jira(Remotely<JiraCommand>),
    /// Adds, tries and removes where you are told of what happens
    Notifications(Remotely<NotificationsCommand>),
    /// Lists, adds and changes the people of a running server
    Users(Remotely<UsersCommand>),
    /// Makes and ends your tokens for a running server
    Tokens(Remotely<TokensCommand>),
    /// Shows how jobs ended and what they cost
    Stats(StatsArgs),
    /// Shows who did what
    Audit(AuditArgs),
    /// Prints completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
    /// Adds and changes people, straight in the database
    User(UserArgs),
    /// Makes a new master key and seals all secrets with it
    RotateKeys,
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
    /// Ranks the files of a repository for an issue, without a model
    Locate(LocateArgs),
    /// Asks the database, the model and the forges whether everything that is needed is there
    Doctor,
    /// Prints every setting with its value and where it came from
    Config,
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
    let result = runtime.block_on(run_command(cli.command, config));
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

async fn run_command(command: Command, config: Config) -> CommandResult {
    use command::{issues, jira, jobs, manage};
    match command {
        Command::Serve => command::serve::run(config).await,
        Command::Run(args) => command::run::run(config, args).await,
        Command::Demo(args) => command::demo::run(config, args).await,
        Command::Node(args) => command::node::run(config, args).await,
        Command::Jobs(args) => remotely(config, args, jobs::run).await,
        Command::Issues(args) => remotely(config, args, issues::issues).await,
        Command::Tasks(args) => remotely(config, args, issues::tasks).await,
        Command::Repositories(args) => remotely(config, args, manage::repositories).await,
        Command::Nodes(args) => remotely(config, args, manage::nodes).await,
        Command::Credentials(args) => remotely(config, args, manage::credentials).await,
        Command::Jira(args) => remotely(config, args, jira::run).await,
        Command::Notifications(args) => remotely(config, args, manage::notifications).await,
        Command::Users(args) => remotely(config, args, manage::users).await,
        Command::Tokens(args) => remotely(config, args, manage::tokens).await,
        Command::Stats(args) => manage::stats(Remote::new(config, args.remote)?, args.by).await,
        Command::Audit(args) => manage::audit(Remote::new(config, args.remote)?, args.cursor, args.limit).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "patchwright", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::User(args) => command::user::run(config, args).await,
        Command::RotateKeys => command::rotate::run(config).await,
        Command::Migrate => command::migrate::run(config).await,
        Command::Backup { file } => command::backup::backup(config, &file).await,
        Command::Restore { file } => command::backup::restore(config, &file).await,
        Command::Locate(args) => command::locate::run(&args),
        Command::Doctor => command::doctor::run(config).await,
        Command::Config => Ok(command::config::run(&config)),
    }
}

/// Asks a running server.
async fn remotely<C: Subcommand>(
    config: Config,
    args: Remotely<C>,
    run: impl AsyncFnOnce(Remote, C) -> CommandResult,
) -> CommandResult {
    run(Remote::new(config, args.remote)?, args.command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["patchwright", "run", "--repo", ".", "--issue", "-", "--pr", "--push"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "serve", "--set", "BIND"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "jobs", "retry", "no-id"]).is_err());
    }
}
