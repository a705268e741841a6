//! The ports of Jira.

mod inbox;
mod users;
mod workspaces;

use patchwright_core::store::StoreError;

use crate::Vault;
use crate::db::in_write_tx;
use users::UserStatements as _;
use workspaces::WorkspaceStatements as _;

impl Vault {
    /// Encrypts with the current key the secrets of sites and links that another key encrypted.
    pub(crate) async fn reseal_jira(&self) -> Result<u64, StoreError> {
        let sealer = self.sealer.clone();
        in_write_tx!(self.store, conn => Ok(conn.reseal_workspaces(&sealer)? + conn.reseal_links(&sealer)?))
    }
}
