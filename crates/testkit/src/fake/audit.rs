//! The audit log of a fake store.

use std::collections::BTreeMap;

use patchwright_core::audit::AuditEntry;
use patchwright_core::store::StoreError;
use patchwright_domain::AuditId;

#[derive(Debug, Default, Clone)]
pub(super) struct AuditLog(BTreeMap<AuditId, AuditEntry>);

impl AuditLog {
    /// Adds an entry. Callers do this before the change that it belongs to, so that a failure leaves both unwritten.
    pub(super) fn record(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        if self.0.contains_key(&entry.id) {
            return Err(StoreError::Stale { what: "row" });
        }
        self.0.insert(entry.id, entry);
        Ok(())
    }

    pub(super) fn entries(&self, before: Option<AuditId>, limit: u16) -> Vec<AuditEntry> {
        let newest_first = self.0.values().rev();
        let page = newest_first.filter(|entry| before.is_none_or(|before| entry.id < before));
        page.take(usize::from(limit)).cloned().collect()
    }
}
