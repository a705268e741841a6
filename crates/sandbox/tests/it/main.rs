//! The sandbox with real programs: what code can do in it, and how suites are run.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod containers;
mod escape;
mod suites;
