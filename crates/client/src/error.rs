//! Errors.

use patchwright_protocol::problem::Problem;

/// A request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server cannot be reached.
    #[error("{server} cannot be reached ({detail})")]
    Unreachable {
        /// Its address.
        server: String,
        /// The failure.
        detail: String,
    },
    /// The token is missing, wrong or expired.
    #[error("{detail}")]
    Unauthorized {
        /// The reason that the server gave.
        detail: String,
    },
    /// The server refused the request.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The response is not one of Patchwright: the address belongs to another program.
    #[error("{server} sent a response that is not one of Patchwright (status {status})")]
    InvalidResponse {
        /// Its address.
        server: String,
        /// The HTTP status.
        status: u16,
    },
}
