#![doc = include_str!("../README.md")]

mod client;
mod etags;
pub mod forge;
mod gate;
mod public;
mod request;
mod response;

pub use client::{BuildError, HttpClient, HttpError, HttpOptions, Retry};
pub use etags::Etags;
pub use gate::RateGate;
pub use request::Request;
pub use response::{Response, Streaming};

/// Makes ring the process's TLS provider. Call it first in `main` and in tests; later calls change nothing.
pub fn install_tls() {
    // An error says that a provider is installed already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
