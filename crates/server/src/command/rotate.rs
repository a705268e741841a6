//! `patchwright rotate-keys`

use std::process::ExitCode;

use patchwright_management::Principal;

use super::CommandResult;
use crate::compose::{Overrides, compose};
use crate::config::Config;
use crate::master_keys::MasterKeys;
use crate::terminal::say;

pub(crate) async fn run(config: Config) -> CommandResult {
    let failed =
        |(path, error): (std::path::PathBuf, std::io::Error)| format!("{} cannot be used: {error}", path.display());
    let known = MasterKeys::load(&config).map_err(failed)?;
    if config.master_key.is_some() && known.old.is_empty() {
        return Err("the master key is configured: set PATCHWRIGHT_MASTER_KEY to a new one and \
                    PATCHWRIGHT_OLD_MASTER_KEYS to the current one, for the servers too, then run this again"
            .into());
    }
    // The new key is stored together with the old ones before anything is encrypted with it.
    known.rotate(&config).map_err(failed)?;
    let app = compose(&config, Overrides::default()).await?;
    let count = app.management.credentials().reseal(&Principal::operator()).await?;
    say(&format!(
        "{count} secrets were encrypted with the new key. Restart the servers, so that they load the new key. The old keys stay for the \
         markers in comments and for nodes that registered before."
    ));
    Ok(ExitCode::SUCCESS)
}
