//! Working copies against real servers and hostile repositories.

#![expect(clippy::unwrap_used, reason = "a failed setup ends the test")]

mod fixture;
mod hostile;
mod limits;
mod remotes;
mod signing;
mod store;
mod working_copy;
mod workspace;
