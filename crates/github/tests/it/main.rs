//! The GitHub adapter against a server of our own that is as strict as GitHub, against GitHub's own description of its
//! API, and with GitHub's own examples of its deliveries.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod contract;
mod openapi;
mod payloads;
