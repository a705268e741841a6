//! The binary; everything is in the library, so that tests and embedders can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    patchwright_server::cli::main()
}
