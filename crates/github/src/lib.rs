#![doc = include_str!("../README.md")]

mod event;
mod payload;
mod webhook;

#[cfg(feature = "client")]
mod app_registration;
#[cfg(feature = "client")]
mod auth;
#[cfg(feature = "client")]
mod checks;
#[cfg(feature = "client")]
mod ci;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod contents;
#[cfg(feature = "client")]
mod convert;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
mod forge;
#[cfg(feature = "client")]
mod labels;
#[cfg(feature = "client")]
mod missed_events;
#[cfg(feature = "client")]
mod redelivery;
#[cfg(feature = "client")]
mod wire;

use patchwright_domain::PlatformId;

#[cfg(feature = "client")]
pub use auth::{AppKey, AppKeyError};
#[cfg(feature = "client")]
pub use checks::{CheckState, Conclusion};
#[cfg(feature = "client")]
pub use client::{GithubForge, GithubOptions};
#[cfg(feature = "client")]
pub use labels::Reaction;
#[cfg(feature = "client")]
pub use missed_events::GithubRedelivery;
#[cfg(feature = "client")]
pub use redelivery::Hook;
pub use webhook::GithubWebhook;

/// The id of this platform.
pub const GITHUB: PlatformId = PlatformId::from_static("github");
