//! `patchwright backup` and `patchwright restore`

use std::path::Path;
use std::process::ExitCode;

use patchwright_store_diesel::DieselStore;

use super::CommandResult;
use crate::config::Config;
use crate::terminal::say;

pub(crate) async fn backup(config: Config, file: &Path) -> CommandResult {
    let store = DieselStore::open(config.database_url.expose()).await?;
    store.backup(file).await?;
    say(&format!("{} contains a copy of the database; keep data/master.key with it", file.display()));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn restore(config: Config, file: &Path) -> CommandResult {
    let old = DieselStore::restore(config.database_url.expose(), file).await?;
    say(&format!("{} is restored", file.display()));
    if let Some(old) = old {
        say(&format!("the previous database was moved to {}", old.display()));
    }
    Ok(ExitCode::SUCCESS)
}
