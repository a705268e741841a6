//! A folder that is filled beside its place, so that it is there as a whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

/// A folder that is being filled. It is deleted if it does not become complete; what a process left that was killed is deleted by
/// the next one.
#[derive(Debug)]
pub(crate) struct DraftFolder {
    place: PathBuf,
    draft: PathBuf,
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        // After it has been moved there is nothing.
        let _ = std::fs::remove_dir_all(&self.draft);
    }
}

impl DraftFolder {
    /// Begins with nothing.
    ///
    /// # Errors
    /// If a folder that was left cannot be deleted, or the folder above cannot be created.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        let draft = place.with_extension("new");
        match std::fs::remove_dir_all(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Some(above) = place.parent() {
            std::fs::create_dir_all(above)?;
        }
        Ok(Self { place: place.to_owned(), draft })
    }

    /// Returns where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.draft
    }

    /// Moves the folder to its place.
    ///
    /// # Errors
    /// If another one is there.
    pub(crate) fn finish(self) -> io::Result<()> {
        std::fs::rename(&self.draft, &self.place)
    }
}
