//! The ports of Jira.

mod inbox;
mod users;
mod workspaces;

use patchwright_core::store::StoreError;

use crate::Vault;
use crate::db::{TxError, write};
use users::UserStatements as _;
use workspaces::WorkspaceStatements as _;

impl Vault {
    /// Seals anew what another key has sealed for sites and links.
    pub(crate) async fn reseal_jira(&self) -> Result<u64, StoreError> {
        let sealer = self.sealer.clone();
        write!(self.store, conn => Ok::<_, TxError>(conn.reseal_workspaces(&sealer)? + conn.reseal_links(&sealer)?))
    }
}
