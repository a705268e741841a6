#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a double that cannot go on ends its test")]

pub mod build;
pub mod contract;
pub mod fake;
pub mod postgres;
pub mod server;

/// The file or folder that an environment variable names, for parts that are fetched and not kept here. `None`, with a line in
/// the output, where it is not set.
#[expect(clippy::print_stderr, reason = "who runs the tests must see what was skipped")]
pub fn fetched(variable: &str) -> Option<std::path::PathBuf> {
    let found = std::env::var_os(variable).map(Into::into);
    if found.is_none() {
        eprintln!("skipped: {variable} is not set; CONTRIBUTING.md says how to get what it names");
    }
    found
}
