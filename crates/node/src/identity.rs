//! The node's identity, which the server assigns at the registration and the node stores in its folder.

use std::path::{Path, PathBuf};

use patchwright_core::Secret;
use patchwright_domain::NodeId;
use serde::{Deserialize, Serialize};

use crate::signature::DispatchKey;
use patchwright_protocol::node::Registered;

/// The node's identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node's id.
    pub id: NodeId,
    /// The node's name.
    pub name: String,
    /// The token that authenticates it.
    pub token: Secret,
    /// The key that verifies the signatures of pushed tasks.
    pub dispatch_key: DispatchKey,
}

/// The identity cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be used.
    #[error("{path} cannot be used: {source}; set DATA_DIR to a folder that this user may write")]
    File {
        /// The path.
        path: PathBuf,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The file's content is invalid.
    #[error("{path} is not a valid identity file; remove it and register the node again")]
    Corrupt {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to another server.
    #[error("{path} is of a node of {server}; give this node another DATA_DIR, or remove the file")]
    OtherServer {
        /// The path.
        path: PathBuf,
        /// The server in the file.
        server: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    server: String,
    #[serde(flatten)]
    registered: Registered,
}

fn file(folder: &Path) -> PathBuf {
    folder.join("node.json")
}

impl Identity {
    fn new(registered: &Registered) -> Option<Self> {
        Some(Self {
            id: registered.node_id.parse().ok()?,
            name: registered.name.clone(),
            token: Secret::new(registered.token.as_str()),
            dispatch_key: DispatchKey::parse(&registered.dispatch_key)?,
        })
    }

    /// Reads the identity for a server from a folder; returns `None` if there is none.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(folder: &Path, server: &str) -> Result<Option<Self>, IdentityError> {
        let path = file(folder);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        let kept: Kept = serde_json::from_str(&text).map_err(|_| IdentityError::Corrupt { path: path.clone() })?;
        if kept.server != server {
            return Err(IdentityError::OtherServer { path, server: kept.server });
        }
        Self::new(&kept.registered).map(Some).ok_or(IdentityError::Corrupt { path })
    }

    /// Stores the identity in a file that only this user may read.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn keep(folder: &Path, server: &str, registered: &Registered) -> Result<Self, IdentityError> {
        let path = file(folder);
        let failed = |source| IdentityError::File { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let kept = Kept { server: server.to_owned(), registered: registered.clone() };
        let text = serde_json::to_string(&kept).expect("it is only text");
        write_private(&path, &text).map_err(failed)?;
        Self::new(registered).ok_or(IdentityError::Corrupt { path })
    }
}

/// Writes a file that only this user may read, atomically.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
