#![doc = include_str!("../README.md")]

mod forge;
mod webhook;
mod wire;

use patchwright_domain::PlatformId;

pub use forge::LocalForge;
pub use webhook::{DELIVERY_HEADER, EVENT_HEADER, LocalWebhook, SIGNATURE_HEADER};

/// The id of this platform.
pub const LOCAL: PlatformId = PlatformId::from_static("local");
