#![doc = include_str!("../README.md")]

mod auth;
mod checks;
mod client;
mod contents;
mod convert;
mod error;
mod event;
mod forge;
mod labels;
mod missed;
mod redelivery;
mod webhook;
mod wire;

use patchwright_domain::PlatformId;

pub use auth::{AppKey, AppKeyError};
pub use checks::{CheckState, Conclusion};
pub use client::{GithubForge, GithubOptions};
pub use labels::Reaction;
pub use missed::Hook;
pub use redelivery::GithubRedelivery;
pub use webhook::GithubWebhook;

/// The name of this platform.
pub const GITHUB: PlatformId = PlatformId::from_static("github");
