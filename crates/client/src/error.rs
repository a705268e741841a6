//! Errors.

use patchwright_protocol::problem::Problem;

fn no_such(kind: &str) -> String {
    let forms = match kind {
        "issue" => " (name it by its id, owner/name#12, a key such as PROJ-12, or an address)",
        "job" | "task" => " (name it by its id or page, or its issue or pull request)",
        "repository" => " (name it by its id, owner/name, or an address)",
        _ => "",
    };
    format!("the server has no {kind}{forms} for")
}

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
    /// The server has nothing of this name, or the caller may not see it.
    #[error("{server_has_no} `{reference}`", server_has_no = no_such(kind))]
    NotFound {
        /// What was looked for: `issue`, `job`, `repository`, …
        kind: &'static str,
        /// As it was named.
        reference: String,
    },
    /// The server has several things of this name.
    #[error("the server has more than one {kind} for `{reference}`; name it by its id")]
    Ambiguous {
        /// What was looked for: `issue`, `repository`.
        kind: &'static str,
        /// As it was named.
        reference: String,
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
