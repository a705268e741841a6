//! The GitCode adapter against a server of our own that is as odd as GitCode, against GitCode's own description of its
//! API, and with recorded deliveries.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod contract;
mod openapi;
mod payloads;
