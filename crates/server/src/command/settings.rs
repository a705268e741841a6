//! `patchwright settings`: changes settings directly in the database. It needs no login: access to the database is the
//! authorization. Running servers put the change into effect within seconds.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use patchwright_core::Secret;
use patchwright_core::audit::AuditEntry;
use patchwright_core::stored_settings::{SettingChange, StoredSettings as _};
use patchwright_domain::AuditId;
use patchwright_management::{Changeable, LOCAL_OPERATOR, Principal};

use super::CommandResult;
use crate::cli::{SettingsArgs, SettingsCommand};
use crate::compose::{Opened, Overrides, compose, open};
use crate::config::Config;
use crate::settings::SETTINGS;
use crate::telemetry;
use crate::terminal::{ask_secret, say};

pub(crate) async fn run(config: Config, args: SettingsArgs) -> CommandResult {
    telemetry::start(&config, true);
    match args.command {
        SettingsCommand::List => list(&config).await?,
        SettingsCommand::Set { name, value } => {
            let value = read_value(&name, value)?;
            let management = compose(&config, Overrides::default()).await?.management;
            management.settings().change(&Principal::operator(), vec![(name.clone(), Some(value))]).await?;
            say(&format!("{name} is stored. Running servers use it within seconds, unless their environment sets it."));
        }
        SettingsCommand::Unset { names } => {
            unset(&config, &names).await?;
            say(&format!("No value of {} is stored any more.", names.join(", ")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let management = compose(config, Overrides::default()).await?.management;
    let settings = management.settings().list(&Principal::operator())?;
    for setting in settings.iter().filter(|setting| setting.changeable != Changeable::AtStart) {
        say(&format!("{:<32} {:<14} {}", setting.name, setting.source, setting.value));
    }
    Ok(())
}

/// Removes values also when the server does not start with them.
async fn unset(config: &Config, names: &[String]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Opened { vault, .. } = open(config).await?;
    let stored = vault.stored_settings().await?;
    if let Some(name) = names.iter().find(|name| !stored.iter().any(|stored| stored.name == **name)) {
        return Err(format!("no value of `{name}` is stored").into());
    }
    let now = jiff::Timestamp::now();
    let remove = |name: &String| SettingChange {
        name: name.clone(),
        value: None,
        audit: AuditEntry {
            id: AuditId::from_uuid(uuid::Uuid::now_v7()),
            at: now,
            actor: LOCAL_OPERATOR.to_owned(),
            action: "setting.removed".to_owned(),
            subject: name.clone(),
            detail: String::new(),
        },
    };
    Ok(vault.change_settings(names.iter().map(remove).collect(), LOCAL_OPERATOR, now).await?)
}

/// Returns the value of the command line, or what standard input has.
fn read_value(name: &str, given: Option<String>) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(value) = given {
        if SETTINGS.iter().any(|setting| setting.name == name && setting.secret) {
            return Err(format!(
                "{name} is a secret: give its value on standard input, where no list of processes shows it"
            )
            .into());
        }
        return Ok(Secret::new(value));
    }
    if std::io::stdin().is_terminal() {
        return Ok(ask_secret(&format!("the value of {name}"))?);
    }
    // A private key has several lines.
    let mut text = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}
