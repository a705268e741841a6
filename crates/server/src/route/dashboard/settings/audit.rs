//! Who did what.

use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_dashboard::page::{Cell, Listing, Row};

use super::{Look, Parts};
use crate::route::error::ApiError;
use crate::route::page::parsed;

/// How many entries a page shows.
const PAGE: u16 = 50;

pub(super) async fn page(look: &Look<'_>, cursor: &str) -> Result<Parts, ApiError> {
    let w = look.words;
    let before = parsed(Some(&cursor.to_owned()).filter(|text| !text.is_empty()), "bad_cursor")?;
    let entries = look.server.app.store.entries(before, PAGE).await?;
    let row = |entry: &AuditEntry| Row {
        cells: vec![
            Cell::Time(Some(entry.at)),
            Cell::Text(entry.actor.clone()),
            Cell::Code(entry.action.clone()),
            Cell::Name(entry.subject.clone(), entry.detail.clone()),
        ],
        buttons: vec![],
        links: vec![],
    };
    let last = entries.last().filter(|_| entries.len() == usize::from(PAGE));
    let listing = Listing {
        columns: vec![w.when, w.who, w.what, w.which],
        rows: entries.iter().map(row).collect(),
        empty: w.no_entries,
        ..Listing::default()
    };
    let next = last.map(|entry| format!("/settings/audit?cursor={}", entry.id));
    Ok(Parts { listings: vec![listing], forms: vec![], next })
}
