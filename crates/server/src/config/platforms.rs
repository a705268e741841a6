//! The settings of the platforms, and of incoming deliveries.

use std::path::PathBuf;
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_domain::RepoName;
use patchwright_engine::TriggerLimits;
use patchwright_gitcode::TokenForm;
use patchwright_github::Hook;

use super::{ConfigError, Values};

/// GitHub's settings.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the setting of the same name, described in `settings`")]
pub struct GithubConfig {
    pub token: Option<Secret>,
    pub app_id: Option<String>,
    pub app_key: Option<Secret>,
    pub api_url: String,
    pub graphql_url: String,
    pub clone_url: String,
    pub redeliver: Vec<Hook>,
    pub poll: Vec<RepoName>,
    pub poll_registered: bool,
    pub poll_interval: Duration,
}

impl GithubConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let api_url = v.needed_url("GITHUB_API_URL")?;
        let graphql_url = v.url("GITHUB_GRAPHQL_URL")?.unwrap_or_else(|| {
            // Enterprise Server: REST at /api/v3, GraphQL at /api/graphql.
            let base = api_url.strip_suffix("/v3").unwrap_or(&api_url);
            format!("{base}/graphql")
        });
        let app_id = v.optional("GITHUB_APP_ID");
        let path = v.optional("GITHUB_APP_PRIVATE_KEY_PATH").map(PathBuf::from);
        let app_key = match (&app_id, v.secret("GITHUB_APP_PRIVATE_KEY"), &path) {
            (Some(_), Some(key), None) => Some(key),
            (_, Some(_), Some(_)) => {
                return Err(v.wrong("GITHUB_APP_PRIVATE_KEY_PATH", "GITHUB_APP_PRIVATE_KEY is set too; unset one"));
            }
            (None, Some(_), None) => return Err(v.wrong("GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_ID is not set")),
            (Some(_), None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    v.wrong("GITHUB_APP_PRIVATE_KEY_PATH", format!("the file cannot be read ({error})"))
                })?;
                Some(Secret::new(text))
            }
            (Some(_), None, None) => {
                return Err(
                    v.wrong("GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY_PATH is not set, nor GITHUB_APP_PRIVATE_KEY")
                );
            }
            (None, None, Some(_)) => return Err(v.wrong("GITHUB_APP_PRIVATE_KEY_PATH", "GITHUB_APP_ID is not set")),
            (None, None, None) => None,
        };
        let redeliver: Vec<Hook> = v.list_of("GITHUB_REDELIVER", "`app` or `owner/name/HOOK`", hook)?;
        if redeliver.contains(&Hook::App) && app_id.is_none() {
            return Err(v.wrong("GITHUB_REDELIVER", "`app` needs GITHUB_APP_ID"));
        }
        Ok(Self {
            token: v.secret("GITHUB_TOKEN"),
            app_id,
            app_key,
            clone_url: v.needed_url("GITHUB_CLONE_URL")?,
            api_url,
            graphql_url,
            redeliver,
            poll: v.list_of("POLL_REPOSITORIES", "a repository (`owner/name`)", |text| text.parse().ok())?,
            poll_registered: v.switch("POLL_REGISTERED")?,
            poll_interval: v.seconds("POLL_INTERVAL")?,
        })
    }

    /// Returns whether the configuration has a credential for it.
    pub const fn is_connected(&self) -> bool {
        self.token.is_some() || self.app_key.is_some()
    }
}

fn hook(text: &str) -> Option<Hook> {
    if text == "app" {
        return Some(Hook::App);
    }
    let (repo, id) = text.rsplit_once('/')?;
    Some(Hook::Repository { repo: repo.parse().ok()?, id: id.parse().ok()? })
}

/// GitCode's settings.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the setting of the same name, described in `settings`")]
pub struct GitcodeConfig {
    pub token: Option<Secret>,
    pub token_form: TokenForm,
    pub api_url: String,
    pub clone_url: String,
    pub bot_username: String,
    pub bot_id: Option<i64>,
    pub webhook_password: bool,
}

impl GitcodeConfig {
    pub(super) fn read(v: &Values, own_login: &str) -> Result<Self, ConfigError> {
        let bot_id = v.optional("GITCODE_BOT_ID").map(|_| v.parse("GITCODE_BOT_ID", "a number")).transpose()?;
        let forms = [("bearer", TokenForm::Bearer), ("private-token", TokenForm::PrivateToken)];
        Ok(Self {
            token: v.secret("GITCODE_TOKEN").or_else(|| v.secret("GITCODE_PAT")),
            token_form: v.choice("GITCODE_TOKEN_HEADER", &forms)?,
            api_url: v.needed_url("GITCODE_API_URL")?,
            clone_url: v.needed_url("GITCODE_CLONE_URL")?,
            bot_username: v.optional("GITCODE_BOT_USERNAME").unwrap_or_else(|| own_login.to_owned()),
            bot_id,
            webhook_password: v.switch("GITCODE_WEBHOOK_PASSWORD")?,
        })
    }
}

/// The limits of incoming deliveries.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the setting of the same name, described in `settings`")]
pub struct AdmissionConfig {
    pub max_body_bytes: usize,
    pub max_in_flight: usize,
    pub max_in_flight_bytes: usize,
    pub write_queue: usize,
    pub group_commit_wait: Duration,
    pub limits: TriggerLimits,
}

impl AdmissionConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let wait: u64 = v.parse("GROUP_COMMIT_WAIT", "a number of milliseconds")?;
        if wait > 50 {
            return Err(v.wrong("GROUP_COMMIT_WAIT", "it is more than 50"));
        }
        let write_queue = v.parse("WRITE_QUEUE", "a number")?;
        let max_in_flight = v.parse("MAX_IN_FLIGHT", "a number")?;
        for (name, value) in [("WRITE_QUEUE", write_queue), ("MAX_IN_FLIGHT", max_in_flight)] {
            if value == 0 {
                return Err(v.wrong(name, "it must be at least 1"));
            }
        }
        Ok(Self {
            max_body_bytes: v.parse("MAX_BODY_BYTES", "a number of bytes")?,
            max_in_flight,
            max_in_flight_bytes: v.parse("MAX_IN_FLIGHT_BYTES", "a number of bytes")?,
            write_queue,
            group_commit_wait: Duration::from_millis(wait),
            limits: TriggerLimits {
                per_issue: v.parse("TRIGGERS_PER_ISSUE", "a number")?,
                per_actor: v.parse("TRIGGERS_PER_ACTOR", "a number")?,
                per_repository: v.parse("TRIGGERS_PER_REPOSITORY", "a number")?,
            },
        })
    }
}
