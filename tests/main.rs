//! End-to-end tests: the whole server over real HTTP, with a real git server and a real database.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod architecture;
mod harness;
mod scenario;
mod translation;
mod vocabulary;
