//! Lists: what is asked for, and a page of it.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;

/// The most that a page holds.
const MAX_LIMIT: u16 = 200;
/// What it holds when nothing is said.
const USUAL_LIMIT: u16 = 50;

/// Things, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// All that there are.
    pub(crate) fn all(items: impl IntoIterator<Item = T>) -> Self {
        Self { items: items.into_iter().collect(), next_cursor: None }
    }

    /// What was found with this limit; the next page begins behind the last one.
    pub(crate) fn new<R, I: Display>(limit: u16, found: &[R], id: impl Fn(&R) -> I, view: impl Fn(&R) -> T) -> Self {
        let last = found.last().filter(|_| found.len() == usize::from(limit));
        Self { items: found.iter().map(view).collect(), next_cursor: last.map(|last| id(last).to_string()) }
    }
}

/// The limit of a page, as it was asked for.
pub(crate) fn limit(asked: Option<u16>) -> Result<u16, ApiError> {
    match asked.unwrap_or(USUAL_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(ApiError::bad("bad_limit", format!("a page has 1 to {MAX_LIMIT} items"))),
    }
}

/// An id or a day, when one was given.
pub(crate) fn parsed<T: FromStr<Err: Display>>(
    text: Option<&String>,
    code: &'static str,
) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|error: T::Err| ApiError::bad(code, error.to_string()))).transpose()
}

/// A word out of a few, when one was given.
pub(crate) fn word<T>(
    text: Option<&String>,
    parse: impl Fn(&str) -> Option<T>,
    what: &'static str,
) -> Result<Option<T>, ApiError> {
    text.map(|text| parse(text).ok_or_else(|| ApiError::bad("bad_word", format!("`{text}` is no {what}")))).transpose()
}
