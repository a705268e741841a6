//! Lets the linker fold functions whose machine code is the same, where it can: generic code has many of them.

use std::path::PathBuf;
use std::process::Command;

/// Of LLD, which the toolchains of rust-lang.org link with on Linux. Other linkers refuse it.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let var = |name| std::env::var(name).unwrap_or_default();
    if var("PROFILE") == "release" && var("HOST") == var("TARGET") && links_with(FOLD) {
        println!("cargo:rustc-link-arg-bins={FOLD}");
    }
}

/// Tries an option of the linker with an empty program.
fn links_with(option: &str) -> bool {
    let Some(folder) = std::env::var_os("OUT_DIR").map(PathBuf::from) else { return false };
    let source = folder.join("probe.rs");
    let Some(compiler) = std::env::var_os("RUSTC") else { return false };
    std::fs::write(&source, "fn main() {}").is_ok()
        && Command::new(compiler)
            .arg(&source)
            .args(["--edition", "2021", "-C", &format!("link-arg={option}"), "-o"])
            .arg(folder.join("probe"))
            .output()
            .is_ok_and(|output| output.status.success())
}
