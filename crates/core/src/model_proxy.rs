//! The model proxy for a program in the sandbox: the program gets a local address and a key for the proxy only, and the
//! budget of each call is reserved before the call.

use std::net::SocketAddr;

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::Usage;
use tokio::sync::{mpsc, oneshot};

use crate::fault::Cause;
use crate::secret::Secret;

/// The bookings of the program's calls.
#[derive(Debug)]
pub enum ProxyRequest {
    /// A call is about to be made.
    Reserve {
        /// The maximum usage of the call.
        most: Usage,
        /// Receives the day of the reservation, or the reason why the budget is exceeded.
        answer: oneshot::Sender<Result<Date, String>>,
    },
    /// The call has ended.
    Settle {
        /// The day of the reservation.
        day: Date,
        /// The reserved usage.
        most: Usage,
        /// The usage.
        spent: Usage,
    },
}

/// A running proxy, which stops when this is dropped.
#[derive(Debug)]
pub struct ProxySession {
    /// The base URL of the OpenAI-compatible API; it ends in `/v1`.
    pub base_url: String,
    /// The address in it: an address of this machine's loopback.
    pub address: SocketAddr,
    /// The API key, which only this session accepts.
    pub api_key: Secret,
    /// The model's name.
    pub model: String,
    /// The bookings of the program's calls.
    pub requests: mpsc::Receiver<ProxyRequest>,
    /// Stops it.
    pub guard: tokio_util::sync::DropGuard,
}

/// Starts proxies.
#[async_trait]
pub trait ModelProxy: Send + Sync {
    /// Starts one.
    async fn open(&self) -> Result<ProxySession, Cause>;
}
