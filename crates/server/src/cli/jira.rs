//! The arguments of `patchwright jira`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum JiraCommand {
    /// Shows how Jira is set up here
    Status,
    /// Lists the sites
    Sites,
    /// Adds a site; the service account's API key comes from standard input, one line. Prints what to enter in Jira
    Add {
        /// Its host, such as acme.atlassian.net
        site: String,
        /// The service account's e-mail address; without one no key is asked for
        #[arg(long, value_name = "ADDRESS")]
        account: Option<String>,
        /// Atlassian's id of the site (otherwise learnt when somebody links their account)
        #[arg(long, value_name = "ID")]
        cloud_id: Option<String>,
    },
    /// Tries the service account with a real call
    Validate {
        /// The site's id
        id: String,
    },
    /// Replaces the service account's API key, from standard input
    Key {
        /// The site's id
        id: String,
        /// Another account's e-mail address
        #[arg(long, value_name = "ADDRESS")]
        account: Option<String>,
    },
    /// Replaces the webhook's secret, from standard input; the one before it stays good until the next one comes
    Secret {
        /// The site's id
        id: String,
    },
    /// Takes what a site sends again
    Activate {
        /// The site's id
        id: String,
    },
    /// Takes nothing more of what a site sends
    Deactivate {
        /// The site's id
        id: String,
    },
    /// Shows where the code of a site's projects is
    Projects {
        /// The site's id
        id: String,
    },
    /// Says where the code of a project is
    Map {
        /// The site's id
        id: String,
        /// The project's key, such as PROJ
        project: String,
        /// owner/name of a repository that was added
        repository: String,
        /// The forge: github, gitcode or local
        #[arg(long, default_value = "github")]
        platform: String,
    },
    /// Forgets where the code of a project is
    Unmap {
        /// The site's id
        id: String,
        /// The project's key
        project: String,
    },
    /// Lists links of people to their accounts: yours, and all for an administrator
    Links,
    /// Ends a link; a new one is made in the browser, at `/api/v1/jira/link`
    Unlink {
        /// Its id
        id: String,
    },
    /// Lists the last conversations
    Conversations,
    /// Lists what could not be seen to
    Failed,
}
