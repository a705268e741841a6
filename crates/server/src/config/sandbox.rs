//! The settings of the sandbox and of the test runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use patchwright_sandbox::{BackendChoice, SandboxPolicy};

use super::{ConfigError, Values};

/// The settings of the sandbox and of the test runs.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct SandboxConfig {
    pub policy: SandboxPolicy,
    pub backend: BackendChoice,
    /// By ecosystem; `*` for all others.
    pub images: BTreeMap<String, String>,
    pub engine_args: Vec<String>,
    /// The limit of one run.
    pub timeout: Duration,
    /// The limit of all runs of a job.
    pub verify_timeout: Duration,
    pub memory_bytes: u64,
    pub processes: u64,
    pub disk_bytes: u64,
    pub readable: Vec<PathBuf>,
    pub registries: Vec<String>,
    /// The folder of environments and packages, if it is not in `DATA_DIR`.
    pub cache: Option<PathBuf>,
    pub cache_bytes: u64,
}

impl SandboxConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let policies = [("require", SandboxPolicy::Require), ("best-effort", SandboxPolicy::BestEffort)];
        let backends = [
            ("auto", BackendChoice::Auto),
            ("bwrap", BackendChoice::Bubblewrap),
            ("podman", BackendChoice::Podman),
            ("docker", BackendChoice::Docker),
            ("none", BackendChoice::None),
        ];
        Ok(Self {
            policy: v.choice("SANDBOX", &policies)?,
            backend: v.choice("SANDBOX_BACKEND", &backends)?,
            images: images(v)?,
            engine_args: v.list("SANDBOX_ENGINE_ARGS"),
            timeout: v.seconds("SANDBOX_TIMEOUT")?,
            verify_timeout: v.seconds("VERIFY_TIMEOUT")?,
            memory_bytes: v.mebibytes("SANDBOX_MEMORY")?,
            processes: v.parse("SANDBOX_PROCESSES", "a number")?,
            disk_bytes: v.mebibytes("SANDBOX_DISK")?,
            readable: v.list("SANDBOX_READABLE").into_iter().map(PathBuf::from).collect(),
            registries: v.list("SANDBOX_REGISTRIES"),
            cache: Some(v.text("SANDBOX_CACHE")).filter(|path| !path.is_empty()).map(PathBuf::from),
            cache_bytes: v.mebibytes("SANDBOX_CACHE_SIZE")?,
        })
    }
}

/// Reads `ECOSYSTEM=IMAGE` or `IMAGE` for all ecosystems.
fn images(v: &Values) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut images = BTreeMap::new();
    for entry in v.list("SANDBOX_IMAGES") {
        // The digest of an image holds no `=`.
        let (ecosystem, image) = entry.split_once('=').unwrap_or(("*", &entry));
        let is_image = !image.is_empty() && !image.starts_with('-') && !image.contains(char::is_whitespace);
        if !is_image || images.insert(ecosystem.to_owned(), image.to_owned()).is_some() {
            return Err(v.wrong(
                "SANDBOX_IMAGES",
                format!("`{entry}` is not `ECOSYSTEM=IMAGE`, or its ecosystem is there twice"),
            ));
        }
    }
    Ok(images)
}
