#![doc = include_str!("../README.md")]

mod client;
mod cooldown;
mod etags;
pub mod forge;
mod public_addresses;
mod request;
mod response;

pub use client::{BuildError, HttpClient, HttpError, HttpOptions, Retry};
pub use cooldown::RateLimitCooldown;
pub use etags::EtagCache;
pub use public_addresses::is_public;
pub use request::Request;
pub use response::{Response, StreamingResponse};

/// Makes ring the process-wide TLS provider. Call it first in `main` and in tests; later calls have no effect.
pub fn install_tls() {
    // The error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
