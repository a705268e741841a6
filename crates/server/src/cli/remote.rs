//! The arguments of what is asked of a running server.

use clap::{Args, Subcommand};

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
    /// Changes the title or the text that jobs work from; the forge's own text stays
    Edit {
        /// Its id
        id: String,
        /// One line
        #[arg(long)]
        title: Option<String>,
        /// Markdown
        #[arg(long)]
        body: Option<String>,
    },
    /// Starts a job for each issue
    Start {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
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
        /// Whether it goes before others of its repository: high, normal or low
        #[arg(long)]
        priority: Option<String>,
        /// Stops when the plan is there, until somebody approves it
        #[arg(long)]
        review_plan: bool,
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
    /// Lets a job go on whose plan waits for approval
    Approve {
        /// The job's id
        id: patchwright_domain::JobId,
    },
    /// Stops a job, wherever it stands
    Cancel {
        /// The job's id
        id: patchwright_domain::JobId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// Lists tasks, newest first
    List {
        /// Only of this status: pending, running, success, failed
        #[arg(long)]
        status: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows a task
    Show {
        /// Its id
        id: String,
    },
    /// Prints what a task said while it ran
    Logs {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationsCommand {
    /// Lists your channels
    List,
    /// Adds one; prints the secret that was made for a webhook, this once
    Add {
        /// What you call it
        name: String,
        /// webhook, slack, feishu, dingtalk or email
        kind: String,
        /// An address or a mailbox
        target: String,
        /// What to tell of, such as `job_failed`; may be repeated
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Of this repository only, owner/name
        #[arg(long)]
        repository: Option<String>,
        /// Of all issues; takes an administrator
        #[arg(long)]
        everyone: bool,
    },
    /// Sends a trial
    Test {
        /// Its id
        id: String,
    },
    /// Removes one with what is on its way there
    Remove {
        /// Its id
        id: String,
    },
}

/// `patchwright audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// As the page before said
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}
