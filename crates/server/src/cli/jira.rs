//! The arguments of `patchwright jira`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum JiraCommand {
    /// Shows the Jira configuration of the server
    Status,
    /// Lists the sites
    Sites,
    /// Adds a site and prints the webhook's URL and secret for Jira; the service account's API key is read from
    /// standard input, one line
    Add {
        /// The site's host, such as acme.atlassian.net
        site: String,
        /// The service account's e-mail address; without it, no API key is read
        #[arg(long, value_name = "ADDRESS")]
        account: Option<String>,
        /// Atlassian's cloud id of the site (default: found out when the first user links an account)
        #[arg(long, value_name = "ID")]
        cloud_id: Option<String>,
    },
    /// Checks the service account with a request to Jira
    Validate {
        /// The site's id
        id: String,
    },
    /// Replaces the service account's API key; the new one is read from standard input, one line
    Key {
        /// The site's id
        id: String,
        /// The e-mail address of another service account
        #[arg(long, value_name = "ADDRESS")]
        account: Option<String>,
    },
    /// Replaces the webhook's secret; the new one is read from standard input, one line. The previous one stays valid
    /// until the next replacement
    Secret {
        /// The site's id
        id: String,
    },
    /// Accepts deliveries of a site again
    Activate {
        /// The site's id
        id: String,
    },
    /// Rejects deliveries of a site
    Deactivate {
        /// The site's id
        id: String,
    },
    /// Lists the repositories of a site's projects
    Projects {
        /// The site's id
        id: String,
    },
    /// Sets the repository of a project
    Map {
        /// The site's id
        id: String,
        /// The project's key, such as PROJ
        project: String,
        /// The owner/name of a repository that the server has
        repository: String,
        /// The forge: github, gitcode or local
        #[arg(long, default_value = "github")]
        platform: String,
    },
    /// Removes the repository of a project
    Unmap {
        /// The site's id
        id: String,
        /// The project's key
        project: String,
    },
    /// Lists the links between users and Jira accounts: yours, or all for an administrator
    Links,
    /// Removes a link; users create links in the browser, at `/api/v1/jira/link`
    Unlink {
        /// The link's id
        id: String,
    },
    /// Lists the latest conversations
    Conversations,
    /// Lists the events that could not be processed
    Failed,
}
