//! The model, lent to a program that runs in the sandbox: it gets an address of this machine and a key that is good for
//! nothing else, and each call is booked before it is made.

use async_trait::async_trait;
use jiff::civil::Date;
use patchwright_domain::Usage;
use tokio::sync::{mpsc, oneshot};

use crate::fault::Cause;
use crate::secret::Secret;

/// What the program's calls need booked.
#[derive(Debug)]
pub enum ProxyRequest {
    /// It is about to call.
    Reserve {
        /// The most that it may cost.
        most: Usage,
        /// The day that it is booked on, or why there is no room.
        answer: oneshot::Sender<Result<Date, String>>,
    },
    /// The call is over.
    Settle {
        /// The day that it was booked on.
        day: Date,
        /// What was reserved.
        most: Usage,
        /// What it cost.
        spent: Usage,
    },
}

/// A gate that is open until this is dropped.
#[derive(Debug)]
pub struct ProxySession {
    /// The address, as OpenAI-compatible servers have it: it ends in `/v1`.
    pub base_url: String,
    /// The key, for this gate only.
    pub api_key: Secret,
    /// The model's name.
    pub model: String,
    /// What the program's calls need booked.
    pub requests: mpsc::Receiver<ProxyRequest>,
    /// Closes it.
    pub guard: tokio_util::sync::DropGuard,
}

/// Opens gates.
#[async_trait]
pub trait ModelProxy: Send + Sync {
    /// Opens one.
    async fn open(&self) -> Result<ProxySession, Cause>;
}
