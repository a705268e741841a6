//! The audit log.

use patchwright_core::audit::AuditEntry;
use patchwright_domain::AuditId;

use crate::Inner;
use crate::error::ManagementError;
use crate::principal::Principal;

/// The audit log, for reading.
#[derive(Debug, Clone, Copy)]
pub struct AuditLog<'a>(pub(crate) &'a Inner);

impl AuditLog<'_> {
    /// Lists entries, newest first, those before an id.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role.
    pub async fn list(
        &self,
        principal: &Principal,
        before: Option<AuditId>,
        limit: u16,
    ) -> Result<Vec<AuditEntry>, ManagementError> {
        principal.require_admin()?;
        Ok(self.0.ports.audit.entries(before, limit).await?)
    }
}

impl Inner {
    /// An entry of the audit log, with secrets masked.
    pub(crate) fn audit_entry(&self, actor: &str, action: &str, subject: &str, detail: &str) -> AuditEntry {
        AuditEntry {
            id: AuditId::from_uuid(self.ports.ids.uuid()),
            at: self.ports.clock.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: self.ports.redactor.redact(detail),
        }
    }
}
