//! Rows, their statements, and their conversion to and from the domain.

pub(crate) mod delivery;
pub(crate) mod effect;
pub(crate) mod issue;
pub(crate) mod job;
pub(crate) mod local;
pub(crate) mod packed;
pub(crate) mod request;
pub(crate) mod task;

use jiff::Timestamp;
use patchwright_core::store::StoreError;

use crate::db::corrupt_row;

/// Converts a time for the database: microseconds since 1970.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// Reads a time that [`micros`] wrote.
pub(crate) fn timestamp(table: &str, id: &str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| corrupt_row(table, id, error))
}

/// Converts a value for the database: JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt { detail: error.to_string() })
}

/// Reads a value that [`json`] wrote.
pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(table: &str, id: &str, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt_row(table, id, error))
}

/// Converts a value for a column that may be `NULL`.
pub(crate) fn optional_json<T: serde::Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(json).transpose()
}

/// Reads a value that [`optional_json`] wrote.
pub(crate) fn from_optional_json<'a, T: serde::Deserialize<'a>>(
    table: &str,
    id: &str,
    text: Option<&'a str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| from_json(table, id, text)).transpose()
}

/// Reports a text that the domain cannot parse as a corrupt row.
pub(crate) fn parse<T, E: std::fmt::Display>(table: &str, id: &str, parsed: Result<T, E>) -> Result<T, StoreError> {
    parsed.map_err(|error| corrupt_row(table, id, error))
}

/// Converts an unsigned number for the database.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a number that [`signed`] wrote.
pub(crate) fn unsigned<T: TryFrom<i64>>(table: &str, id: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| corrupt_row(table, id, format!("{number} is out of range")))
}
