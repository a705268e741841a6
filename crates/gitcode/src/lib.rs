#![doc = include_str!("../README.md")]

mod event;
mod payload;
mod webhook;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod convert;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
mod forge;
#[cfg(feature = "client")]
mod wire;

use patchwright_domain::PlatformId;

#[cfg(feature = "client")]
pub use client::{GitcodeForge, GitcodeOptions, TokenForm};
pub use webhook::{GitcodeBot, GitcodeSecrets, GitcodeWebhook};

/// The id of this platform.
pub const GITCODE: PlatformId = PlatformId::from_static("gitcode");
