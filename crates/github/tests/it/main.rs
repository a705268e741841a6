//! The GitHub adapter against a fake server, GitHub's OpenAPI description and GitHub's examples of deliveries.

#![expect(clippy::unwrap_used, reason = "a failed setup ends the test")]

mod contract;
mod openapi;
mod payloads;
