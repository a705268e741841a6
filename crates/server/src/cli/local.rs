//! The arguments of the commands that run on this machine.

use clap::{Args, Subcommand};

use super::verify::GrantArgs;

/// `patchwright run`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(crate) struct RunArgs {
    /// A folder, or a repository as owner/name or URL
    #[arg(long, value_name = "PATH|URL", default_value = ".")]
    pub(crate) repo: String,
    /// A file (its first line is the title), `-` for standard input, or an issue on the forge: its URL, owner/name#42, or #42 of the
    /// repository
    #[arg(long, value_name = "FILE|-|URL|#NUMBER")]
    pub(crate) issue: String,
    /// The branch to start from (default: the repository's default branch)
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// Additional instructions for the model
    #[arg(long, value_name = "TEXT")]
    pub(crate) instructions: Option<String>,
    /// The command that runs all tests, in place of what is found
    #[arg(long, value_name = "COMMAND")]
    pub(crate) test_command: Option<String>,
    #[command(flatten)]
    pub(crate) grants: GrantArgs,
    /// Pushes a branch and opens a pull request
    #[arg(long, group = "outcome")]
    pub(crate) pr: bool,
    /// Pushes a branch
    #[arg(long, group = "outcome")]
    pub(crate) push: bool,
    /// Changes the files of the folder, if a fix was made and breaks no test
    #[arg(long, group = "outcome")]
    pub(crate) apply: bool,
    /// Prints the patch and changes nothing; this is the default
    #[arg(long, group = "outcome")]
    pub(crate) patch: bool,
    /// Writes the patch to a file, for `git apply`
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<std::path::PathBuf>,
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
    /// Adds a user; the password is read from standard input, one line
    Add {
        /// The login name
        login: String,
        /// The role: admin or member
        #[arg(long, default_value = "admin")]
        role: String,
    },
    /// Lists all users
    List,
    /// Sets a new password, read from standard input, and ends the user's sessions and tokens
    Password {
        /// The login name
        login: String,
    },
    /// Creates an API token for a user and prints it, which happens only once
    Token {
        /// The login name
        login: String,
        /// A name for the token
        #[arg(long, default_value = "terminal")]
        name: String,
        /// The scope: read, write or admin
        #[arg(long, default_value = "write")]
        scope: String,
        /// Days until it expires
        #[arg(long, default_value_t = 90)]
        days: u16,
    },
    /// Deactivates a user and ends their sessions and tokens
    Disable {
        /// The login name
        login: String,
    },
}

/// `patchwright settings`
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(subcommand)]
    pub(crate) command: SettingsCommand,
}

/// What `patchwright settings` does.
#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Lists the settings that can be changed while the server runs
    List,
    /// Stores a value
    Set {
        /// The name, such as `LLM_MODEL`
        name: String,
        /// The value; without it, it is read from standard input, as that of a secret must be
        value: Option<String>,
    },
    /// Removes stored values, also when the server does not start with them
    Unset {
        /// The names, such as `LLM_MODEL`; those that belong together in one call
        #[arg(required = true)]
        names: Vec<String>,
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
    /// Listens on this address for tasks, such as 0.0.0.0:8007, instead of polling the server
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// How many tasks the node runs at once (default: the setting `NODE_CAPACITY`)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) capacity: Option<u32>,
    /// Runs one task and ends. Exit codes: 0 it has a result or a plan that waits; 3 it failed; 4 there was none; 5 it went back
    /// to the queue; 1 any other error
    #[arg(long, conflicts_with_all = ["listen", "capacity"])]
    pub(crate) ephemeral: bool,
    /// How many seconds `--ephemeral` waits for a task (default: for ever)
    #[arg(long, value_name = "SECONDS", requires = "ephemeral")]
    pub(crate) wait: Option<u64>,
}

/// `patchwright demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Prints one JSON object as the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}
