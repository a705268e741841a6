//! Pages of a list.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A list that is not paged.
    pub fn all(items: impl IntoIterator<Item = T>) -> Self {
        Self { items: items.into_iter().collect(), next_cursor: None }
    }

    /// The page of `found` records that were read with `limit`; the next page starts after the last one.
    pub fn new<R, I: std::fmt::Display>(limit: u16, found: &[R], id: impl Fn(&R) -> I, view: impl Fn(&R) -> T) -> Self {
        let last = found.last().filter(|_| found.len() == usize::from(limit));
        Self { items: found.iter().map(view).collect(), next_cursor: last.map(|last| id(last).to_string()) }
    }
}
