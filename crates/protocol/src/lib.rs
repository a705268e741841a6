#![doc = include_str!("../README.md")]
#![allow(missing_docs, reason = "a field of the wire format without a comment is described by its name")]

pub mod audit;
pub mod auth;
pub mod calls;
#[cfg(feature = "openapi")]
mod channel_schema;
pub mod channels;
pub mod credentials;
pub mod events;
pub mod issues;
pub mod jira;
pub mod jobs;
pub mod logs;
pub mod node;
pub mod nodes;
mod page;
pub mod problem;
pub mod repositories;
#[cfg(feature = "openapi")]
pub mod schemas;
pub mod settings;
pub mod stats;
pub mod tasks;
pub mod users;
mod version;

pub use page::Page;
pub use version::{NODE_PROTOCOL, Version, VersionMismatch};

/// Implements `Debug` for types with a secret: one field is shown, the others are not.
macro_rules! debug_without_secrets {
    ($($name:ident: $shown:ident),* $(,)?) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($shown), &self.$shown).finish_non_exhaustive()
            }
        })*
    };
}
pub(crate) use debug_without_secrets;

/// Reads a whole number that may be written with a fraction of zero: to JSON Schema `13.0` is an integer.
pub(crate) fn whole<'de, D: serde::Deserializer<'de>>(given: D) -> Result<u32, D::Error> {
    to_whole(serde::Deserialize::deserialize(given)?)
}

/// The same for an optional number up to 65535.
pub(crate) fn whole_or_none<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<u16>, D::Error> {
    let Some(number) = <Option<f64> as serde::Deserialize>::deserialize(given)? else { return Ok(None) };
    let whole: u32 = to_whole(number)?;
    u16::try_from(whole).map(Some).map_err(|_| serde::de::Error::custom(format!("{number} is more than 65535")))
}

fn to_whole<E: serde::de::Error>(number: f64) -> Result<u32, E> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is refused")]
    let whole = number as u32;
    // Nothing is added to a number but the sign of a negative zero.
    if f64::from(whole).total_cmp(&(number + 0.0)).is_eq() {
        Ok(whole)
    } else {
        Err(E::custom(format!("{number} is not a whole number")))
    }
}
