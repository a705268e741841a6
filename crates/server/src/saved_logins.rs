//! The API tokens that `patchwright login` keeps for this user, one for each server.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use patchwright_core::Secret;
use serde::{Deserialize, Serialize};

/// The file in the user's configuration folder, readable by that user only.
const FILE: &str = "logins.json";

/// The saved tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SavedLogins {
    /// The server of the last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
    #[serde(default)]
    servers: BTreeMap<String, SavedToken>,
}

#[derive(Clone, Serialize, Deserialize)]
struct SavedToken {
    /// The id of the token, by which it is revoked.
    id: Option<String>,
    token: String,
}

impl std::fmt::Debug for SavedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SavedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SavedLogins {
    /// Reads the file in the user's configuration folder; no logins if there is none.
    ///
    /// # Errors
    /// An I/O error if the file is there and cannot be read or understood: writing it anew would lose the tokens in it.
    pub(crate) fn read(folder: Option<&Path>) -> std::io::Result<Self> {
        let Some(file) = folder.map(|folder| folder.join(FILE)) else { return Ok(Self::default()) };
        let explain = |error: &dyn std::fmt::Display| {
            std::io::Error::other(format!(
                "{} cannot be read: {error}; mend or delete it, and log in again",
                file.display()
            ))
        };
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| explain(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(explain(&error)),
        }
    }

    /// Returns the token for a server.
    pub(crate) fn token(&self, server: &str) -> Option<Secret> {
        self.servers.get(normalize(server)).map(|saved| Secret::new(saved.token.clone()))
    }

    /// Adds the token of a server, which becomes the one of the last login. Returns the id of the token that it replaces.
    pub(crate) fn add(&mut self, server: &str, id: Option<String>, token: &Secret) -> Option<String> {
        let server = normalize(server).to_owned();
        let replaced = self.servers.insert(server.clone(), SavedToken { id, token: token.expose().to_owned() });
        self.last = Some(server);
        replaced?.id
    }

    /// Removes the token of a server, and returns its id.
    pub(crate) fn remove(&mut self, server: &str) -> Option<String> {
        let removed = self.servers.remove(normalize(server));
        if self.last.as_deref() == Some(normalize(server)) {
            self.last = self.servers.keys().next().cloned();
        }
        removed?.id
    }

    /// Writes the file, and returns its path.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn write(&self, folder: Option<&Path>) -> std::io::Result<PathBuf> {
        let folder = folder.ok_or_else(|| std::io::Error::other("neither HOME nor XDG_CONFIG_HOME is set"))?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.{}", std::process::id())));
        // Renamed, so that a file that others could read is never filled, and a kill leaves the old one.
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(&serde_json::to_vec_pretty(self)?)?;
        out.sync_all()?;
        std::fs::rename(&new, &file)?;
        Ok(file)
    }
}

/// Returns an address without the slash at its end.
fn normalize(server: &str) -> &str {
    server.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn tokens_of_several_servers_are_kept_for_their_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut logins = SavedLogins::read(Some(folder.path())).unwrap();
        logins.add("https://a.example/", Some("1".to_owned()), &Secret::new("pwt_a".to_owned()));
        logins.add("https://b.example", None, &Secret::new("pwt_b".to_owned()));
        let file = logins.write(Some(folder.path())).unwrap();
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let mut logins = SavedLogins::read(Some(folder.path())).unwrap();
        assert_eq!(logins.last.as_deref(), Some("https://b.example"));
        assert_eq!(logins.token("https://a.example").unwrap().expose(), "pwt_a");
        assert!(logins.token("https://c.example").is_none());
        assert!(!format!("{logins:?}").contains("pwt_"));
        assert_eq!((logins.remove("https://b.example"), logins.last.as_deref()), (None, Some("https://a.example")));
        std::fs::write(folder.path().join(FILE), "{broken").unwrap();
        assert!(SavedLogins::read(Some(folder.path())).is_err(), "its tokens are not lost");
    }
}
