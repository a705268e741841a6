//! The audit log.

use patchwright_core::audit::AuditEntry;
use patchwright_management::ManagementError;

use super::{SettingsContext, SettingsView};
use crate::page::{Cell, Listing, Row};

/// How many entries a page shows.
const PAGE_SIZE: u16 = 50;

pub(super) async fn view(context: &SettingsContext<'_>, cursor: &str) -> Result<SettingsView, ManagementError> {
    let w = context.translations;
    let before = Some(cursor).filter(|cursor| !cursor.is_empty()).map(str::parse).transpose();
    let before = before.map_err(|_| ManagementError::invalid("bad_cursor", "there is no such page"))?;
    let entries = context.management.audit().list(context.principal, before, PAGE_SIZE).await?;
    let row = |entry: &AuditEntry| Row {
        cells: vec![
            Cell::Time(Some(entry.at)),
            Cell::Text(entry.actor.clone()),
            Cell::Name(w.audit_action(&entry.action).to_owned(), entry.action.clone()),
            Cell::Name(entry.subject.clone(), w.translate(&entry.detail)),
        ],
        buttons: vec![],
        links: vec![],
    };
    let last = entries.last().filter(|_| entries.len() == usize::from(PAGE_SIZE));
    let listing = Listing {
        columns: vec![w.when, w.who, w.what, w.which],
        rows: entries.iter().map(row).collect(),
        empty: w.no_entries,
        ..Listing::default()
    };
    let next = last.map(|entry| format!("/settings/audit?cursor={}", entry.id));
    Ok(SettingsView { listings: vec![listing], forms: vec![], next })
}
