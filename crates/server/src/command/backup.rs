//! `patchwright backup` and `patchwright restore`

use std::path::Path;
use std::process::ExitCode;

use patchwright_store_diesel::DieselStore;

use super::CommandResult;
use crate::config::Config;
use crate::terminal::say;

pub(crate) async fn backup(config: Config, file: &Path) -> CommandResult {
    if let Some(path) = config.database_url.expose().strip_prefix("sqlite://").filter(|path| !Path::new(path).exists())
    {
        return Err(format!("there is no database {path}; set DATA_DIR or DATABASE_URL to that of the server").into());
    }
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
