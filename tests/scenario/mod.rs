//! Stories, told in the user's language.

mod bad_input;
mod story;
mod webhook;

pub(crate) mod tester;
