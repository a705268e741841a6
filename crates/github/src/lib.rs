#![doc = include_str!("../README.md")]

mod client;
mod convert;
mod error;
mod webhook;
mod wire;

use patchwright_domain::PlatformId;

pub use client::{GithubForge, GithubOptions};
pub use webhook::GithubWebhook;

/// The name of this platform.
pub const GITHUB: PlatformId = PlatformId::from_static("github");
