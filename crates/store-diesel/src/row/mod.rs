//! Rows, their statements, and the way to and from the domain.

pub(crate) mod delivery;
pub(crate) mod effect;
pub(crate) mod issue;
pub(crate) mod job;
pub(crate) mod local;
pub(crate) mod packed;
pub(crate) mod task;

use jiff::Timestamp;
use patchwright_core::store::StoreError;

use crate::db::broken;

/// A time as it stands in the database.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A time out of the database.
pub(crate) fn timestamp(table: &str, id: &str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| broken(table, id, error))
}

/// JSON as it stands in the database.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt { detail: error.to_string() })
}

/// JSON out of the database.
pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(table: &str, id: &str, text: &'a str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| broken(table, id, error))
}

/// Reads a name that the domain parses.
pub(crate) fn parse<T, E: std::fmt::Display>(table: &str, id: &str, parsed: Result<T, E>) -> Result<T, StoreError> {
    parsed.map_err(|error| broken(table, id, error))
}

/// An unsigned number as it stands in the database.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An unsigned number out of the database.
pub(crate) fn unsigned<T: TryFrom<i64>>(table: &str, id: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| broken(table, id, format!("{number} is out of range")))
}
