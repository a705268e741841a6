//! The arguments of the commands for a running server.

use clap::{Args, Subcommand};

/// How to reach a running server.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// The server's URL (default: the server of the last `patchwright login`, else the address in BIND)
    #[arg(long, global = true, env = "PATCHWRIGHT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// One of your API tokens, or the server's token (its setting `API_TOKEN`); `patchwright login` keeps one
    #[arg(long, global = true, env = "PATCHWRIGHT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Prints the server's response as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A command for a running server.
#[derive(Debug, Args)]
pub(crate) struct Remotely<C: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: C,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IssuesCommand {
    /// Lists issues
    List {
        /// Only issues of this status: pending, processing, `pending_merge`, merged, terminated
        #[arg(long)]
        status: Option<String>,
        /// Only of this repository, owner/name
        #[arg(long)]
        repository: Option<String>,
        /// Only issues with this text in the title or body
        #[arg(long)]
        search: Option<String>,
        /// The order: newest, oldest or updated
        #[arg(long)]
        order: Option<String>,
        /// The `next_cursor` of the previous page
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows an issue
    Show {
        /// The issue: its id, owner/name#12, a key such as PROJ-12, or an address
        id: String,
    },
    /// Opens an issue on the forge
    Open {
        /// The repository: its id, owner/name or its address
        #[arg(long)]
        repository: String,
        /// The title, one line
        #[arg(long)]
        title: String,
        /// The text, as Markdown
        #[arg(long, default_value = "")]
        body: String,
    },
    /// Changes the title or the text that jobs use; the issue on the forge stays as it is
    Edit {
        /// The issue: its id, owner/name#12, a key such as PROJ-12, or an address
        id: String,
        /// The title, one line
        #[arg(long)]
        title: Option<String>,
        /// The text, as Markdown
        #[arg(long)]
        body: Option<String>,
    },
    /// Starts a job for each issue
    Start {
        /// The issues: ids, owner/name#12, keys such as PROJ-12, or addresses
        #[arg(required = true)]
        ids: Vec<String>,
        /// The name of the preset (setting `AI_COMMANDS`) of a program that makes the change
        #[arg(long)]
        command: Option<String>,
        /// Additional instructions for the model
        #[arg(long)]
        instructions: Option<String>,
        /// The name or id of the node that runs the job
        #[arg(long)]
        node: Option<String>,
        /// A label that the node must have; may be repeated
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// The priority among the jobs of its repository: high, normal or low
        #[arg(long)]
        priority: Option<String>,
        /// Waits for approval of the plan before changing anything
        #[arg(long)]
        review_plan: bool,
    },
    /// Stops all jobs of an issue
    Cancel {
        /// The issue: its id, owner/name#12, a key such as PROJ-12, or an address
        id: String,
    },
    /// Marks the issue's pull request, a draft, as ready for review
    Ready {
        /// The issue: its id, owner/name#12, a key such as PROJ-12, or an address
        id: String,
    },
    /// Marks the issue as merged
    Merge {
        /// The issue: its id, owner/name#12, a key such as PROJ-12, or an address
        id: String,
        /// Also merges the pull request on the forge
        #[arg(long)]
        pull_request: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepositoriesCommand {
    #[command(flatten)]
    BuiltIn(BuiltInCommand),
    #[command(flatten)]
    Registered(RegisteredCommand),
}

/// A command that makes a repository of the built-in forge, in the data folder of this machine's server.
#[derive(Debug, Subcommand)]
pub(crate) enum BuiltInCommand {
    /// Creates a repository on the built-in forge; run it on the server's machine
    Create {
        /// owner/name
        name: String,
    },
    /// Copies a repository to the built-in forge; run it on the server's machine
    Import {
        /// The repository: a path, or an https or ssh address
        #[arg(value_name = "PATH|URL")]
        source: String,
        /// Its name here, owner/name (default: that in the address, or local/ and the name of the folder)
        #[arg(long)]
        name: Option<String>,
        /// The branch to copy (default: the one that HEAD names)
        #[arg(long)]
        branch: Option<String>,
    },
}

/// A command for the repositories of a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum RegisteredCommand {
    /// Lists the repositories
    List,
    /// Adds a repository
    Add {
        /// The forge: github, gitcode or local
        platform: String,
        /// owner/name
        name: String,
    },
    /// Imports the open issues of a repository
    Sync {
        /// The repository: its id, owner/name or its address
        id: String,
    },
    /// Replaces the users who see a repository beside those whom the forge lets read it
    Members {
        /// The repository: its id, owner/name or its address
        id: String,
        /// Their logins or ids; none removes all
        users: Vec<String>,
    },
    /// Removes a repository; its issues and jobs stay
    Remove {
        /// The repository: its id, owner/name or its address
        id: String,
        /// Deletes its issues, jobs, logs, prompts and statistics, too
        #[arg(long)]
        data: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialsCommand {
    /// Lists the credentials, without their secrets
    List,
    /// Adds a credential; the secret is read from standard input, one line
    Add {
        /// A name for the credential
        name: String,
        /// The repositories that it is for: `*`, an owner, or owner/name
        #[arg(long, default_value = "*")]
        scope: String,
        /// The forge: github or gitcode
        #[arg(long, default_value = "github")]
        platform: String,
        /// When it expires, such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Replaces the secret of a credential; the new one is read from standard input, one line
    Replace {
        /// The credential's id
        id: String,
        /// When the new secret expires
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Removes a credential
    Remove {
        /// The credential's id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Lists all users
    List,
    /// Adds a user; the password is read from standard input, one line
    Add {
        /// The login name
        login: String,
        /// The role: admin or member
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Changes the role of a user
    Role {
        /// The user: the login or the id
        id: String,
        /// The new role: admin or member
        role: String,
    },
    /// Deactivates a user and ends their sessions and tokens
    Disable {
        /// The user: the login or the id
        id: String,
    },
    /// Reactivates a user
    Enable {
        /// The user: the login or the id
        id: String,
    },
    /// Replaces a user's accounts on forges, whose repositories they see
    Accounts {
        /// The user: the login or the id
        id: String,
        /// Accounts such as github:alice; none removes all
        accounts: Vec<String>,
    },
    /// Deletes a user with their sessions, tokens, links and assignments
    Remove {
        /// The user: the login or the id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Lists nodes
    List,
    /// Adds a node and prints its join token, which is shown only once
    Add {
        /// A name for the node
        name: String,
        /// A label in addition to those that the node detects; may be repeated
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// The URL where the node listens for tasks (default: the node polls the server)
        #[arg(long, value_name = "URL")]
        push_url: Option<String>,
        /// Registers a third-party node, which cannot register itself, and prints its token in place of a join token
        #[arg(long, requires = "push_url")]
        third_party: bool,
    },
    /// Prints a new join token for a node and revokes its current token
    Invite {
        /// The node: its name or id
        id: String,
    },
    /// Stops giving tasks to a node; its running tasks finish
    Drain {
        /// The node: its name or id
        id: String,
    },
    /// Gives tasks to a drained node again
    Resume {
        /// The node: its name or id
        id: String,
    },
    /// Removes a node; its running jobs are given to others
    Remove {
        /// The node: its name or id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Lists your tokens
    List,
    /// Creates a token and prints it, which happens only once
    Add {
        /// A name for the token
        name: String,
        /// The scope: read, write or admin
        #[arg(long, default_value = "write")]
        scope: String,
        /// Days until it expires
        #[arg(long, default_value_t = 90)]
        days: u16,
    },
    /// Revokes a token
    End {
        /// The token's id
        id: String,
    },
}

/// `patchwright stats`
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// What to group by: day, repository, node or model
    #[arg(long, default_value = "day")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Lists jobs, newest first
    List {
        /// Only jobs of this status: queued, running, succeeded, failed, cancelled
        #[arg(long)]
        status: Option<String>,
        /// Only of this repository, `owner/name`
        #[arg(long)]
        repository: Option<String>,
        /// The `next_cursor` of the previous page
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows one job with its stages
    Show {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
        /// Prints each change until the job ends; the exit code is 0 if it succeeded
        #[arg(long)]
        watch: bool,
    },
    /// Prints the log of a job
    Logs {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
        /// Goes on until the job ends
        #[arg(long, short)]
        follow: bool,
    },
    /// Restarts a job at the first stage that did not succeed
    Retry {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
    },
    /// Approves the plan of a job that waits for approval
    Approve {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
    },
    /// Has the plan that waits made again
    Plan {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
        /// What the plan should be
        words: String,
    },
    /// Cancels a job
    Cancel {
        /// The job: its id or page, or its issue (owner/name#12, PROJ-12, an address) or pull request
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// Lists tasks, newest first
    List {
        /// Only tasks of this status: pending, running, success, failed
        #[arg(long)]
        status: Option<String>,
        /// The `next_cursor` of the previous page
        #[arg(long)]
        cursor: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows a task
    Show {
        /// The task: its id, or its job or issue for the newest one
        id: String,
    },
    /// Prints the log of a task
    Logs {
        /// The task: its id, or its job or issue for the newest one
        id: String,
        /// Goes on until the task ends
        #[arg(long, short)]
        follow: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationsCommand {
    /// Lists your channels
    List,
    /// Adds a channel; for a webhook, prints its generated secret, which is shown only once
    Add {
        /// A name for the channel
        name: String,
        /// The kind: webhook, slack, feishu, dingtalk or email
        kind: String,
        /// The URL, or the e-mail address
        target: String,
        /// An event to send, such as `job_failed`; may be repeated
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Only events of this repository, owner/name
        #[arg(long)]
        repository: Option<String>,
        /// Sends the events of all issues; requires the role admin
        #[arg(long)]
        everyone: bool,
    },
    /// Sends a test message
    Test {
        /// The channel's id
        id: String,
    },
    /// Removes a channel and its queued messages
    Remove {
        /// The channel's id
        id: String,
    },
}

/// `patchwright audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The `next_cursor` of the previous page
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// `patchwright login`
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The server's URL (default: the address in BIND)
    #[arg(env = "PATCHWRIGHT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Your login name
    #[arg(long)]
    pub(crate) login: Option<String>,
    /// Reads an API token from standard input, in place of a password: for accounts of an identity provider
    #[arg(long)]
    pub(crate) with_token: bool,
    /// The scope of the new token: read, write or admin
    #[arg(long, default_value = "write")]
    pub(crate) scope: String,
    /// Days until the new token expires
    #[arg(long, default_value_t = 90)]
    pub(crate) days: u16,
}

/// `patchwright logout`
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The server's URL (default: the server of the last login)
    #[arg(value_name = "URL")]
    pub(crate) server: Option<String>,
}
