#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a fake that cannot continue fails its test")]

pub mod build;
pub mod contract;
pub mod fake;
pub mod postgres;
pub mod server;

/// Returns the file or folder that an environment variable names, for fixtures that are downloaded and not part of the
/// repository. Without the variable returns `None` and prints that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible in the output")]
pub fn fetched(variable: &str) -> Option<std::path::PathBuf> {
    let found = std::env::var_os(variable).map(Into::into);
    if found.is_none() {
        eprintln!("skipped: {variable} is not set; CONTRIBUTING.md says how to get what it names");
    }
    found
}

/// Returns whether bubblewrap works on this machine. Without it returns `false` and prints that the test is skipped; where
/// `REQUIRE_SANDBOX` is set, that is a failure.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible in the output")]
pub fn has_isolation() -> bool {
    let works = std::process::Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        assert!(std::env::var_os("REQUIRE_SANDBOX").is_none(), "bubblewrap does not work on this machine");
        eprintln!("skipped: bubblewrap does not work on this machine; docs/sandbox.md says what it needs");
    }
    works
}
