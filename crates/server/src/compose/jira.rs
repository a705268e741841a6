//! Jira.

use std::sync::Arc;

use patchwright_core::Clock;
use patchwright_core::jira::JiraSites;
use patchwright_core::jira_oauth;
use patchwright_engine::jira::{JiraPorts, TemplateError, Templates};
use patchwright_http::HttpClient;
use patchwright_jira::{JiraCloud, JiraOauth, JiraOptions, JiraRecords, JiraWebhook, OauthOptions, WriteAs};
use patchwright_management::JiraManagementPorts;
use patchwright_store_diesel::{DieselStore, Vault};

use crate::config::Config;

/// The client.
pub(super) fn jira(config: &Config, http: &HttpClient, clock: Arc<dyn Clock>, vault: &Vault) -> JiraCloud {
    let settings = &config.jira;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.bind));
    let oauth = settings.application.clone().map(|(client_id, client_secret)| OauthOptions {
        auth_url: settings.auth_url.clone(),
        token_url: settings.token_url.clone(),
        resources_url: settings.resources_url.clone(),
        me_url: settings.me_url.clone(),
        client_id,
        client_secret,
        redirect_uri: settings
            .redirect_uri
            .clone()
            .unwrap_or_else(|| format!("{}/api/v1/jira/callback", public_url.trim_end_matches('/'))),
        scopes: settings.scopes.clone(),
    });
    let options = JiraOptions {
        api_url: settings.api_url.clone(),
        version: settings.version,
        write_as: settings.write_as,
        states: settings.states.clone(),
    };
    let records = JiraRecords {
        workspaces: Arc::new(vault.clone()),
        users: Arc::new(vault.clone()),
        inbox: Arc::new(vault.clone()),
    };
    let oauth = oauth.map(|options| JiraOauth::new(http.clone(), options));
    JiraCloud::new(http.clone(), clock, options, records, oauth)
}

/// The ports of the engine.
pub(super) fn engine_ports(
    config: &Config,
    store: &DieselStore,
    vault: &Vault,
    jira: &Arc<JiraCloud>,
) -> Result<JiraPorts, TemplateError> {
    Ok(JiraPorts {
        workspaces: Arc::new(vault.clone()),
        users: Arc::new(vault.clone()),
        inbox: Arc::new(vault.clone()),
        sites: Arc::clone(jira) as Arc<dyn JiraSites>,
        decoder: Arc::new(JiraWebhook::new(config.triggers.app_name.clone())),
        accounts: Arc::new(store.clone()),
        repositories: Arc::new(store.clone()),
        templates: Arc::new(Templates::with(config.jira.templates.clone())?),
    })
}

/// The ports of the application layer.
pub(super) fn management_ports(config: &Config, vault: &Vault, jira: &Arc<JiraCloud>) -> JiraManagementPorts {
    let vault = Arc::new(vault.clone());
    let oauth = jira.oauth().cloned();
    JiraManagementPorts {
        workspaces: vault.clone(),
        users: vault.clone(),
        inbox: vault,
        sites: Arc::clone(jira) as Arc<dyn JiraSites>,
        oauth: oauth.map(|oauth| Arc::new(oauth) as Arc<dyn jira_oauth::JiraOauth>),
        write_as: match config.jira.write_as {
            WriteAs::ServiceAccount => "service",
            WriteAs::Person => "user",
        },
    }
}
