//! The data folder, which no other user of the machine may enter: the database, logs and working copies are in it.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Rights of everyone but the owner.
const OTHERS: u32 = 0o077;

/// Creates a folder that only its owner may enter, or takes the rights of all others away.
///
/// # Errors
/// An I/O error, also when the folder belongs to another user and others may enter it.
pub(crate) fn create(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut rights = std::fs::metadata(folder)?.permissions();
    if rights.mode() & OTHERS != 0 {
        tracing::warn!(folder = %folder.display(), "other users could read the data folder; removing their rights");
        rights.set_mode(rights.mode() & !OTHERS);
        std::fs::set_permissions(folder, rights)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a6_no_other_user_may_enter_the_data_folder() {
        let root = tempfile::tempdir().unwrap();
        let (fresh, known) = (root.path().join("a/b"), root.path().join("known"));
        std::fs::create_dir(&known).unwrap();
        std::fs::set_permissions(&known, std::fs::Permissions::from_mode(0o755)).unwrap();
        for folder in [fresh, known] {
            create(&folder).unwrap();
            assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
