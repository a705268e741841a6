//! The settings of Jira.

use std::collections::BTreeMap;

use patchwright_core::Secret;
use patchwright_engine::jira::Templates;
use patchwright_jira::{ApiVersion, States, WriteAs};

use super::{ConfigError, Values};

/// The OAuth scopes that users are asked to grant (`docs/requirements.md#jira`).
const SCOPES: &str = "read:me read:jira-user read:jira-work";
/// The additional scopes for writing as the user.
const SCOPES_TO_WRITE: &str = "write:jira-work offline_access";

/// Jira's settings.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the setting of the same name, described in `settings`")]
pub struct JiraConfig {
    /// The client id and secret of the application at Atlassian.
    pub application: Option<(String, Secret)>,
    pub redirect_uri: Option<String>,
    pub auth_url: String,
    pub token_url: String,
    pub resources_url: String,
    pub me_url: String,
    pub api_url: String,
    pub scopes: String,
    pub version: ApiVersion,
    pub write_as: WriteAs,
    pub states: States,
    /// The templates of the operator, by name.
    pub templates: BTreeMap<String, String>,
}

impl JiraConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let application = match (v.optional("JIRA_CLIENT_ID"), v.secret("JIRA_CLIENT_SECRET")) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            (Some(_), None) => return Err(v.wrong("JIRA_CLIENT_ID", "JIRA_CLIENT_SECRET is not set")),
            (None, Some(_)) => return Err(v.wrong("JIRA_CLIENT_SECRET", "JIRA_CLIENT_ID is not set")),
        };
        let write_as = v.choice("JIRA_WRITE_AS", &[("service", WriteAs::ServiceAccount), ("user", WriteAs::Person)])?;
        let scopes = match write_as {
            WriteAs::ServiceAccount => SCOPES.to_owned(),
            WriteAs::Person => format!("{SCOPES} {SCOPES_TO_WRITE}"),
        };
        Ok(Self {
            application,
            redirect_uri: v.url("JIRA_REDIRECT_URI")?,
            auth_url: v.needed_url("JIRA_AUTH_URL")?,
            token_url: v.needed_url("JIRA_TOKEN_URL")?,
            resources_url: v.needed_url("JIRA_ACCESSIBLE_RESOURCES_URL")?,
            me_url: v.needed_url("JIRA_ME_URL")?,
            api_url: v.needed_url("JIRA_CLOUD_API_URL")?,
            scopes: v.optional("JIRA_SCOPES").unwrap_or(scopes),
            version: v.choice("JIRA_API_VERSION", &[("2", ApiVersion::V2), ("3", ApiVersion::V3)])?,
            write_as,
            states: States {
                started: v.optional("JIRA_STATUS_ON_START"),
                in_review: v.optional("JIRA_STATUS_ON_PR"),
                merged: v.optional("JIRA_STATUS_ON_MERGE"),
            },
            templates: templates(v)?,
        })
    }
}

/// Reads the templates in the folder and renders them once, so that the server does not start with an invalid one.
fn templates(v: &Values) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(folder) = v.optional("JIRA_TEMPLATES").map(std::path::PathBuf::from) else { return Ok(BTreeMap::new()) };
    if !folder.is_dir() {
        return Err(v.wrong("JIRA_TEMPLATES", "it is no folder"));
    }
    let mut own = BTreeMap::new();
    for name in Templates::names() {
        let path = folder.join(format!("{name}.j2"));
        match std::fs::read_to_string(&path) {
            Ok(text) => drop(own.insert(name.to_owned(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(v.wrong("JIRA_TEMPLATES", format!("{}: {error}", path.display()))),
        }
    }
    Templates::with(own.clone()).map_err(|error| v.wrong("JIRA_TEMPLATES", error.to_string()))?;
    Ok(own)
}
