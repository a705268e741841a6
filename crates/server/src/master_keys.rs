//! The master keys, which encrypt the secrets in the database and sign the markers in comments.

use std::path::{Path, PathBuf};

use patchwright_core::Secret;
use patchwright_management::generate_secret;

use crate::config::Config;
use crate::private_dir;

/// The current key and the old ones.
#[derive(Debug, Clone)]
pub(crate) struct MasterKeys {
    /// The current key.
    pub present: Secret,
    /// The previous keys.
    pub old: Vec<Secret>,
}

impl MasterKeys {
    /// Returns the configured keys, or those in the key file, which is created at the first start.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn load(config: &Config) -> Result<Self, (PathBuf, std::io::Error)> {
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
        private_dir::create(&config.data_dir).map_err(failed)?;
        let present = generate();
        write(&path, std::slice::from_ref(&present)).map_err(failed)?;
        Ok(Self { present, old })
    }

    /// Adds a new key before the others in the key file. A configured key is not changed: its operator must do that.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn rotate(self, config: &Config) -> Result<Self, (PathBuf, std::io::Error)> {
        if config.master_key.is_some() {
            return Ok(self);
        }
        let present = generate();
        let old = [vec![self.present], self.old].concat();
        let path = file(config);
        let all = [vec![present.clone()], old.clone()].concat();
        write(&path, &all).map_err(|error| (path, error))?;
        Ok(Self { present, old })
    }

    /// Returns all keys, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.present).chain(&self.old)
    }
}

fn generate() -> Secret {
    Secret::new(generate_secret(""))
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

/// Writes one key per line to a file that only this user may read, atomically.
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
