//! The command line.

mod evaluate;
mod jira;
mod local;
mod locate;
mod remote;
mod verify;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use self::evaluate::EvaluateArgs;
pub(crate) use self::jira::JiraCommand;
pub(crate) use self::local::{DemoArgs, NodeArgs, RunArgs, SettingsArgs, SettingsCommand, UserArgs, UserCommand};
pub(crate) use self::locate::LocateArgs;
pub(crate) use self::remote::{
    AuditArgs, BuiltInCommand, CredentialsCommand, IssuesCommand, JobsCommand, LoginArgs, LogoutArgs, NodesCommand,
    NotificationsCommand, RegisteredCommand, RemoteArgs, Remotely, RepositoriesCommand, StatsArgs, TasksCommand,
    TokensCommand, UsersCommand,
};
pub(crate) use self::verify::VerifyArgs;
use crate::command;
use crate::command::CommandResult;
use crate::command::remote::Remote;
use crate::compose;
use crate::config::{Config, Layers, Values};
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

const EXIT_CODES: &str = "Exit codes of `run`, `demo` and `verify`: 0 a test shows the fix; 3 a change was made, but no test shows \
    that it fixes the issue; 4 analysis only (no model is configured); 5 the tests fail with the change; 1 any other error; \
    2 invalid command line or configuration.";

/// Options of every command.
#[derive(Debug, Args)]
struct Common {
    /// The configuration file (default: ~/.config/patchwright/patchwright.toml, if it exists)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides one setting of the file and the environment; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server: receives webhooks and opens pull requests
    Serve,
    /// Runs a node: executes tasks of a server on this machine
    Node(NodeArgs),
    /// Runs one job in the terminal, without a server
    Run(RunArgs),
    /// Runs a job on a small built-in repository; needs no configuration
    Demo(DemoArgs),
    /// Logs in to a running server, for the commands below
    Login(LoginArgs),
    /// Forgets the login to a server
    Logout(LogoutArgs),
    /// Shows, follows, retries and cancels the jobs of a running server
    Jobs(Remotely<JobsCommand>),
    /// Lists, opens, starts and cancels issues of a running server
    Issues(Remotely<IssuesCommand>),
    /// Lists the tasks of a running server and shows their logs
    Tasks(Remotely<TasksCommand>),
    /// Adds repositories to the server, makes some on its built-in forge, and imports issues
    Repositories(Remotely<RepositoriesCommand>),
    /// Adds, drains and removes the nodes of a running server
    Nodes(Remotely<NodesCommand>),
    /// Adds, replaces and removes the forge credentials of a running server
    Credentials(Remotely<CredentialsCommand>),
    /// Manages the Jira sites of a running server
    Jira(Remotely<JiraCommand>),
    /// Adds, tests and removes your notification channels on a running server
    Notifications(Remotely<NotificationsCommand>),
    /// Lists, adds and changes the users of a running server
    Users(Remotely<UsersCommand>),
    /// Creates and revokes your API tokens for a running server
    Tokens(Remotely<TokensCommand>),
    /// Shows the results and costs of jobs
    Stats(StatsArgs),
    /// Shows the audit log
    Audit(AuditArgs),
    /// Prints a completion script for a shell
    Completions {
        /// The shell: bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes those of all commands
    Man {
        /// The folder for the pages of all commands
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Adds and changes users directly in the database
    User(UserArgs),
    /// Changes settings of the server in the database; running servers follow within seconds
    Settings(SettingsArgs),
    /// Creates a new master key and encrypts all secrets with it
    RotateKeys,
    /// Brings the database's schema up to date
    Migrate,
    /// Copies the SQLite database to a file; the server may be running
    Backup {
        /// The file to create
        file: PathBuf,
    },
    /// Replaces the SQLite database with a backup; the server must be stopped
    Restore {
        /// A file that `backup` created
        file: PathBuf,
    },
    /// Ranks the files of a repository for an issue, without a model
    Locate(LocateArgs),
    /// Tests a change: runs the tests before and after it, without a model
    Verify(VerifyArgs),
    /// Repeats the newest fixes of a repository with your model, and compares with their own tests
    Evaluate(EvaluateArgs),
    /// Checks the configuration, the database, the model and the forges, and reports what is missing
    Doctor,
    /// Prints every setting with its value and its source
    Config,
}

/// Serves the sandbox, in which this program is started once more (see [`patchwright_sandbox::relay`]).
fn relay_of_sandbox() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [command, address, socket, line @ ..] = arguments.as_slice() else { return None };
    let address = address.to_str().filter(|_| command == "sandbox-relay")?.parse().ok()?;
    Some(patchwright_sandbox::relay(address, socket.as_ref(), line).unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    }))
}

/// Serves git, which starts this program once more to read untrusted repositories (see [`patchwright_gitops_gix::run_child`]).
fn child_for_git() -> Option<ExitCode> {
    std::env::args_os().nth(1).filter(|command| command == patchwright_gitops_gix::CHILD_COMMAND)?;
    // The parent reads it, and puts it into the log.
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time();
    lines.with_max_level(tracing::Level::WARN).init();
    patchwright_http::install_tls();
    Some(patchwright_gitops_gix::run_child())
}

/// Starts this process anew with the join token of `node --token` in its environment: everybody on a machine can read the
/// arguments of all processes, and only their owner the environment. If that fails, the arguments stay as they are.
fn hide_join_token() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let Some((token, others)) = split_join_token(&arguments) else { return };
    let Ok(program) = std::env::current_exe() else { return };
    let error = std::process::Command::new(program).args(others).env(JOIN_TOKEN, token).exec();
    complain(&error);
}

/// The variable of the join token.
const JOIN_TOKEN: &str = "PATCHWRIGHT_JOIN_TOKEN";

/// Returns the value of `--token` of the command `node`, and the arguments without the program and without it.
fn split_join_token(arguments: &[OsString]) -> Option<(OsString, Vec<OsString>)> {
    let mut others = Vec::new();
    let mut token = None;
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--token") => token = Some(rest.next()?.clone()),
            Some(text) if text.starts_with("--token=") => token = Some(text["--token=".len()..].into()),
            _ => others.push(argument.clone()),
        }
    }
    let is_node = others.iter().any(|argument| argument == "node");
    token.filter(|_| is_node).map(|token| (token, others))
}

/// The commands by what they are for, as the help lists them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("On this machine", &["run", "demo", "locate", "verify", "evaluate"]),
    (
        "The server",
        &["serve", "node", "doctor", "config", "migrate", "backup", "restore", "settings", "rotate-keys", "user"],
    ),
    ("Work on a running server", &["login", "logout", "issues", "jobs", "tasks"]),
    (
        "Manage a running server",
        &["repositories", "credentials", "users", "tokens", "nodes", "notifications", "jira", "stats", "audit"],
    ),
    ("Other", &["completions", "man", "help"]),
];

/// Returns the command line with its commands in groups.
fn command_line() -> clap::Command {
    let command = Cli::command();
    let mut list = String::new();
    for (title, names) in GROUPS {
        list.push_str(&format!("{title}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map_or_else(|| "Prints the help of a command".to_owned(), ToString::to_string);
            list.push_str(&format!("  {name:<14} {about}\n"));
        }
        list.push('\n');
    }
    command
        .help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{list}Options:\n{{options}}{{after-help}}"))
}

/// Parses the command line, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    if let Some(done) = relay_of_sandbox().or_else(child_for_git) {
        return done;
    }
    compose::enable_own_program();
    hide_join_token();
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Some(done) = print_about_itself(&cli.command) {
        return done;
    }
    let layers = Layers::from_process(cli.common.config, cli.common.set);
    let config = match Config::load(&layers) {
        Ok(config) => config,
        Err(error) => {
            // The command that the error recommends must show what there is.
            if matches!(cli.command, Command::Config) {
                command::config::print(&Values::collect_usable(&layers));
            }
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
    // Abandoned work on blocking threads must not delay the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Runs the commands that need no configuration.
fn print_about_itself(command: &Command) -> Option<ExitCode> {
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut command_line(), "patchwright", &mut std::io::stdout());
            Some(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            let written = match folder {
                Some(folder) => {
                    std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
                }
                None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout()),
            };
            Some(match written {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&error);
                    ExitCode::FAILURE
                }
            })
        }
        _ => None,
    }
}

async fn run_command(command: Command, config: Config) -> CommandResult {
    use command::{issues, jira, jobs, manage};
    match command {
        Command::Serve => command::serve::run(config).await,
        Command::Run(args) => command::run::run(config, args).await,
        Command::Demo(args) => command::demo::run(config, args).await,
        Command::Node(args) => command::node::run(config, args).await,
        Command::Login(args) => command::login::login(config, args).await,
        Command::Logout(args) => command::login::logout(config, args).await,
        Command::Jobs(args) => remotely(config, args, jobs::run).await,
        Command::Issues(args) => remotely(config, args, issues::issues).await,
        Command::Tasks(args) => remotely(config, args, issues::tasks).await,
        Command::Repositories(Remotely { command, remote }) => match command {
            RepositoriesCommand::BuiltIn(command) => command::repositories::run(config, command, &remote).await,
            RepositoriesCommand::Registered(command) => {
                manage::repositories(Remote::new(config, remote)?, command).await
            }
        },
        Command::Nodes(args) => remotely(config, args, manage::nodes).await,
        Command::Credentials(args) => remotely(config, args, manage::credentials).await,
        Command::Jira(args) => remotely(config, args, jira::run).await,
        Command::Notifications(args) => remotely(config, args, manage::notifications).await,
        Command::Users(args) => remotely(config, args, manage::users).await,
        Command::Tokens(args) => remotely(config, args, manage::tokens).await,
        Command::Stats(args) => manage::stats(Remote::new(config, args.remote)?, args.by).await,
        Command::Audit(args) => manage::audit(Remote::new(config, args.remote)?, args.cursor, args.limit).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(ExitCode::SUCCESS),
        Command::User(args) => command::user::run(config, args).await,
        Command::Settings(args) => command::settings::run(config, args).await,
        Command::RotateKeys => command::rotate::run(config).await,
        Command::Migrate => command::migrate::run(config).await,
        Command::Backup { file } => command::backup::backup(config, &file).await,
        Command::Restore { file } => command::backup::restore(config, &file).await,
        Command::Locate(args) => command::locate::run(&args),
        Command::Verify(args) => command::verify::run(config, args).await,
        Command::Evaluate(args) => command::evaluate::run(config, args).await,
        Command::Doctor => command::doctor::run(config).await,
        Command::Config => {
            command::config::print(&config.values);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a command against a running server.
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
        command_line().debug_assert();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let command = Cli::command();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all, "each command is in one group of the help");
        assert!(Cli::try_parse_from(["patchwright", "run", "--repo", ".", "--issue", "-", "--pr", "--push"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "serve", "--set", "BIND"]).is_err());
        assert!(Cli::try_parse_from(["patchwright", "jobs", "retry"]).is_err());
    }
}
