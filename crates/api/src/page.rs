//! Parameters of lists.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::ApiError;

/// The most items of a page.
const MAX_LIMIT: u16 = 200;
/// The items of a page by default.
const DEFAULT_LIMIT: u16 = 50;

/// Checks the limit of a page.
pub(crate) fn limit(requested: Option<u16>) -> Result<u16, ApiError> {
    match requested.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(ApiError::invalid("bad_limit", format!("a page has 1 to {MAX_LIMIT} items"))),
    }
}

/// Parses an optional id, day or time.
pub(crate) fn parse<T: FromStr<Err: Display>>(
    text: Option<&String>,
    code: &'static str,
) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|error: T::Err| ApiError::invalid(code, error.to_string()))).transpose()
}

/// Parses an optional value of a fixed set.
pub(crate) fn word<T>(
    text: Option<&String>,
    parse: impl Fn(&str) -> Option<T>,
    what: &'static str,
) -> Result<Option<T>, ApiError> {
    let unknown = |text: &String| ApiError::invalid("bad_word", format!("`{text}` is not a {what}"));
    text.map(|text| parse(text).ok_or_else(|| unknown(text))).transpose()
}
