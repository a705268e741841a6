//! `patchwright migrate`

use std::process::ExitCode;

use patchwright_store_diesel::DieselStore;

use super::CommandResult;
use crate::config::Config;
use crate::telemetry;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    telemetry::start(&config, true);
    let store = DieselStore::open(config.database_url.expose()).await?;
    let applied = store.migrate().await?;
    if applied.is_empty() {
        say("The database's schema is up to date.");
    }
    for version in applied {
        say(&format!("applied {version}"));
    }
    Ok(ExitCode::SUCCESS)
}
