//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::command;
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
    Jobs(JobsArgs),
    /// Lists, opens, starts and cancels issues of a running server
    Issues(IssuesArgs),
    /// Adds repositories to a running server, and imports their issues
    Repositories(RepositoriesArgs),
    /// Adds, drains and removes the nodes of a running server
    Nodes(NodesArgs),
    /// Adds, replaces and removes what opens forges, on a running server
    Credentials(CredentialsArgs),
    /// Lists, adds and changes the people of a running server
    Users(UsersArgs),
    /// Makes and ends your tokens for a running server
    Tokens(TokensArgs),
    /// Shows how jobs ended and what they cost
    Stats(StatsArgs),
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
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// How a running server is reached.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// The server's address (otherwise the one that BIND names)
    #[arg(long, global = true, env = "PATCHWRIGHT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// A token of yours, or the server's (its setting `API_TOKEN`)
    #[arg(long, global = true, env = "PATCHWRIGHT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Prints the server's answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// `patchwright issues`
#[derive(Debug, Args)]
pub(crate) struct IssuesArgs {
    #[command(subcommand)]
    pub(crate) command: IssuesCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IssuesCommand {
    /// Lists issues, newest first
    List {
        /// Only of this status: pending, processing, `pending_merge`, merged, terminated
        #[arg(long)]
        status: Option<String>,
        /// Only of this repository, owner/name
        #[arg(long)]
        repository: Option<String>,
        /// Only with this text in the title or body
        #[arg(long)]
        search: Option<String>,
        /// As the page before said
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows an issue
    Show {
        /// Its id
        id: String,
    },
    /// Opens an issue on its forge
    Open {
        /// The repository's id
        #[arg(long)]
        repository: String,
        /// One line
        #[arg(long)]
        title: String,
        /// Markdown
        #[arg(long, default_value = "")]
        body: String,
    },
    /// Starts a job for an issue
    Start {
        /// Its id
        id: String,
        /// A program that makes the change, by the name of its preset
        #[arg(long)]
        command: Option<String>,
        /// What else to take into account, in words
        #[arg(long)]
        instructions: Option<String>,
        /// The id of the node that is to run it
        #[arg(long)]
        node: Option<String>,
        /// What the node must have; may be repeated
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
    },
    /// Stops all jobs of an issue
    Cancel {
        /// Its id
        id: String,
    },
    /// Notes that the pull request was merged
    Merge {
        /// Its id
        id: String,
        /// Merges it on the forge
        #[arg(long)]
        pull_request: bool,
    },
}

/// `patchwright repositories`
#[derive(Debug, Args)]
pub(crate) struct RepositoriesArgs {
    #[command(subcommand)]
    pub(crate) command: RepositoriesCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepositoriesCommand {
    /// Lists them
    List,
    /// Adds one
    Add {
        /// github, gitcode or local
        platform: String,
        /// owner/name
        name: String,
    },
    /// Imports its open issues
    Sync {
        /// Its id
        id: String,
    },
    /// Removes it; its issues and jobs stay
    Remove {
        /// Its id
        id: String,
    },
}

/// `patchwright node`
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The server's address
    #[arg(long, env = "PATCHWRIGHT_SERVER", value_name = "URL")]
    pub(crate) server: String,
    /// The one-time join token of `patchwright nodes add`, for the first start
    #[arg(long, env = "PATCHWRIGHT_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Listens here for tasks, such as 0.0.0.0:8007, in place of asking for them
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// How many tasks it runs at once (otherwise the setting `NODE_CAPACITY`)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) capacity: Option<u32>,
}

/// `patchwright credentials`
#[derive(Debug, Args)]
pub(crate) struct CredentialsArgs {
    #[command(subcommand)]
    pub(crate) command: CredentialsCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// Lists them, without their secrets
    List,
    /// Adds one; the secret comes from standard input, one line
    Add {
        /// What you call it
        name: String,
        /// Where it opens: `*`, an owner, or owner/name
        #[arg(long, default_value = "*")]
        scope: String,
        /// The forge: github or gitcode
        #[arg(long, default_value = "github")]
        platform: String,
        /// When it ends, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Replaces the secret of one, from standard input
    Replace {
        /// Its id
        id: String,
        /// When the new one ends
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Removes one
    Remove {
        /// Its id
        id: String,
    },
}

/// `patchwright users`
#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    pub(crate) command: UsersCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Lists all people
    List,
    /// Adds a person; the password comes from standard input, one line
    Add {
        /// What they log in with
        login: String,
        /// What they may do: admin or member
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Gives a person another role
    Role {
        /// Their id
        id: String,
        /// admin or member
        role: String,
    },
    /// Shuts a person out, and ends their sessions and tokens
    Disable {
        /// Their id
        id: String,
    },
    /// Lets a person in again
    Enable {
        /// Their id
        id: String,
    },
}

/// `patchwright nodes`
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    #[command(subcommand)]
    pub(crate) command: NodesCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Lists nodes
    List,
    /// Adds one and prints its join token, this once
    Add {
        /// What you call it
        name: String,
        /// What it has beside what it finds itself; may be repeated
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// Where it listens; without an address it asks for its tasks
        #[arg(long, value_name = "URL")]
        push_url: Option<String>,
    },
    /// Prints a new join token for one; its own token ends
    Invite {
        /// Its id
        id: String,
    },
    /// Lets one finish what it has, and gives it nothing more
    Drain {
        /// Its id
        id: String,
    },
    /// Gives one tasks again
    Resume {
        /// Its id
        id: String,
    },
    /// Removes one; what it ran is taken over
    Remove {
        /// Its id
        id: String,
    },
}

/// `patchwright tokens`
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    pub(crate) command: TokensCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Lists yours
    List,
    /// Makes one and prints its secret, this once
    Add {
        /// What you call it
        name: String,
        /// read, write or admin
        #[arg(long, default_value = "write")]
        scope: String,
        /// Days until it ends
        #[arg(long, default_value_t = 90)]
        days: u16,
    },
    /// Ends one
    End {
        /// Its id
        id: String,
    },
}

/// `patchwright stats`
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// What to tell apart: day, repository, node or model
    #[arg(long, default_value = "day")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
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
            Command::Jobs(args) => command::jobs::run(Remote::new(config, args.remote)?, args.command).await,
            Command::Issues(args) => command::manage::issues(Remote::new(config, args.remote)?, args.command).await,
            Command::Repositories(args) => {
                command::manage::repositories(Remote::new(config, args.remote)?, args.command).await
            }
            Command::Node(args) => command::node::run(config, args).await,
            Command::Nodes(args) => command::manage::nodes(Remote::new(config, args.remote)?, args.command).await,
            Command::Tokens(args) => command::manage::tokens(Remote::new(config, args.remote)?, args.command).await,
            Command::Stats(args) => command::manage::stats(Remote::new(config, args.remote)?, &args.by).await,
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
            Command::Credentials(args) => {
                command::manage::credentials(Remote::new(config, args.remote)?, args.command).await
            }
            Command::Users(args) => command::manage::users(Remote::new(config, args.remote)?, args.command).await,
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
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["patchwright", "run", "--repo", ".", "--issue", "-", "--pr", "--push"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "serve", "--set", "BIND"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "jobs", "retry", "no-id"]).is_err());
    }
}
