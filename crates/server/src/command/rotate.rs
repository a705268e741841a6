//! `patchwright rotate-keys`

use std::process::ExitCode;

use patchwright_core::credentials::Credentials as _;
use patchwright_store_diesel::{DieselStore, Sealer, Vault};

use super::CommandResult;
use crate::audit::{OPERATOR, record};
use crate::config::Config;
use crate::master::MasterKeys;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    let failed =
        |(path, error): (std::path::PathBuf, std::io::Error)| format!("{} cannot be used: {error}", path.display());
    let known = MasterKeys::load(&config).map_err(failed)?;
    if config.master_key.is_some() && known.old.is_empty() {
        return Err("the master key is configured: set PATCHWRIGHT_MASTER_KEY to a new one and \
                    PATCHWRIGHT_OLD_MASTER_KEYS to the present one, for the servers too, then run this again"
            .into());
    }
    let store = DieselStore::open(config.database_url.expose()).await?;
    store.migrate().await?;
    // The new key is on the disk, beside the old ones, before anything is sealed with it.
    let keys = known.rotated(&config).map_err(failed)?;
    let vault = Vault::new(store.clone(), Sealer::new(&keys.present, &keys.old));
    let count = vault.reseal().await?;
    record(&store, OPERATOR, "keys.rotated", "master key", &format!("{count} secrets were sealed anew")).await?;
    say(&format!(
        "{count} secrets were sealed anew. Restart the servers, so that they know the new key. The old keys stay for the \
         marks in comments and for nodes that registered before."
    ));
    Ok(ExitCode::SUCCESS)
}
