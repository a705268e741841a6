#![doc = include_str!("../README.md")]

mod client;
mod convert;
mod error;
mod event;
mod forge;
mod webhook;
mod wire;

use patchwright_domain::PlatformId;

pub use client::{GitcodeForge, GitcodeOptions, TokenForm};
pub use webhook::{GitcodeBot, GitcodeSecrets, GitcodeWebhook};

/// The name of this platform.
pub const GITCODE: PlatformId = PlatformId::from_static("gitcode");
