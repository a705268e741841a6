//! The binary as a process.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

mod chaos;
mod intake;
mod nodes;
mod process;
mod terminal;
