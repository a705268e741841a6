//! The GitCode adapter against a fake server, GitCode's OpenAPI description and recorded deliveries.

#![expect(clippy::unwrap_used, reason = "a failed setup ends the test")]

mod contract;
mod openapi;
mod payloads;
