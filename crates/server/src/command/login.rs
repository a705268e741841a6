//! `patchwright login` and `patchwright logout`: an API token of this user, kept for the commands of a running server.

use std::process::ExitCode;

use patchwright_client::Client;
use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_protocol::users::NewToken;

use super::CommandResult;
use super::remote::RemoteError;
use crate::cli::{LoginArgs, LogoutArgs};
use crate::config::Config;
use crate::saved_logins::SavedLogins;
use crate::terminal::{ask, ask_secret, note, say};

pub(crate) async fn login(config: Config, args: LoginArgs) -> CommandResult {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.bind));
    let http = http(&config)?;
    let client = Client::new(http.clone(), &server, None);
    let mut logins = SavedLogins::read(config.user_config.as_deref())?;
    // Before there is a token that could not be kept.
    logins.write(config.user_config.as_deref())?;
    let (id, token) = if args.with_token {
        note(&format!("Create a token on {}/settings?section=tokens and paste it here.", client.server()));
        (None, ask_secret("the API token")?)
    } else {
        let login = match &args.login {
            Some(login) => login.clone(),
            None => ask("your login name")?,
        };
        let password = ask_secret("the password")?;
        let new = NewToken {
            name: format!("terminal on {}", host_name()),
            scope: args.scope.clone(),
            expires_in_days: Some(args.days),
        };
        let created = client.create_token_with_password(&login, &password, &new).await.map_err(RemoteError::Other)?;
        (Some(created.token.id), Secret::new(created.secret))
    };
    let me = Client::new(http.clone(), &server, Some(token.clone())).me().await.map_err(RemoteError::Other)?;
    let replaced = logins.add(&server, id, &token);
    let file = logins.write(config.user_config.as_deref())?;
    if let Some(replaced) = replaced {
        // A token that is gone already is as good.
        let _ = Client::new(http, &server, Some(token)).revoke_token(&replaced).await;
    }
    say(&format!(
        "Logged in to {} as {} ({}). The token is in {}.",
        client.server(),
        me.login,
        me.role,
        file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn logout(config: Config, args: LogoutArgs) -> CommandResult {
    let mut logins = SavedLogins::read(config.user_config.as_deref())?;
    let server = args.server.or_else(|| logins.last.clone()).ok_or("you are not logged in to any server")?;
    let token = logins.token(&server).ok_or_else(|| format!("you are not logged in to {server}"))?;
    let id = logins.remove(&server);
    logins.write(config.user_config.as_deref())?;
    say(&format!("Logged out of {server}."));
    if let Some(id) = id {
        // The token is revoked too; if the server is away, it expires.
        if let Err(error) = Client::new(http(&config)?, &server, Some(token)).revoke_token(&id).await {
            note(&format!("Its token is still valid on the server: {error}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn http(config: &Config) -> Result<HttpClient, patchwright_http::BuildError> {
    patchwright_http::install_tls();
    HttpClient::new(&HttpOptions { ca_bundle: config.network.ca_bundle.clone(), ..HttpOptions::default() })
}

/// Returns the name of this machine, for the list of tokens.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().take(60).collect();
    if name.is_empty() { "this machine".to_owned() } else { name }
}
