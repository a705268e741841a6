//! The master key, and those before it: what secrets are sealed and marks are signed with.

use std::path::{Path, PathBuf};

use patchwright_core::Secret;

use crate::auth::secret;
use crate::config::Config;

/// The present key and the old ones.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    /// What seals and signs.
    pub present: Secret,
    /// What sealed and signed before.
    pub old: Vec<Secret>,
}

impl MasterKeys {
    /// The configured keys, or those in the key file, which is made at the first start.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub fn load(config: &Config) -> Result<Self, (PathBuf, std::io::Error)> {
        let mut old = config.old_master_keys.clone();
        if let Some(present) = config.master_key.clone() {
            return Ok(Self { present, old });
        }
        let path = file(config);
        let failed = |error| (path.clone(), error);
        let mut kept = read(&path).map_err(failed)?.into_iter();
        if let Some(present) = kept.next() {
            old.extend(kept);
            return Ok(Self { present, old });
        }
        std::fs::create_dir_all(&config.data_dir).map_err(failed)?;
        let present = Secret::new(secret::fresh(""));
        write(&path, std::slice::from_ref(&present)).map_err(failed)?;
        Ok(Self { present, old })
    }

    /// Puts a fresh key before the others in the key file. With a configured key nothing is done: whoever configures it
    /// changes it.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn rotated(self, config: &Config) -> Result<Self, (PathBuf, std::io::Error)> {
        if config.master_key.is_some() {
            return Ok(self);
        }
        let present = Secret::new(secret::fresh(""));
        let old = [vec![self.present], self.old].concat();
        let path = file(config);
        let all = [vec![present.clone()], old.clone()].concat();
        write(&path, &all).map_err(|error| (path, error))?;
        Ok(Self { present, old })
    }

    /// All of them, the present one first.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.present).chain(&self.old)
    }
}

fn file(config: &Config) -> PathBuf {
    config.data_dir.join("master.key")
}

fn read(path: &Path) -> std::io::Result<Vec<Secret>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// One key a line, for this user's eyes only, whole or not at all.
fn write(path: &Path, keys: &[Secret]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    for key in keys {
        writeln!(file, "{}", key.expose())?;
    }
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
