//! The data folder, which no other user of the machine may enter: the database, logs and working copies are in it.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Rights of everyone but the owner.
const OTHERS: u32 = 0o077;

/// Names that a folder of this server has; only such a folder, or an empty one, is taken from others.
const OWN_NAMES: [&str; 3] = ["master.key", "patchwright.db", "work"];

/// Creates a folder that only its owner may enter, or takes the rights of all others away. A folder with other things in
/// it, or of another user, such as a mounted volume, stays as it is, with a warning.
///
/// # Errors
/// An I/O error when the folder cannot be created.
pub(crate) fn create(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut rights = std::fs::metadata(folder)?.permissions();
    if rights.mode() & OTHERS == 0 {
        return Ok(());
    }
    rights.set_mode(rights.mode() & !OTHERS);
    let tightened = is_own(folder) && std::fs::set_permissions(folder, rights).is_ok();
    let action = if tightened { "removed their rights" } else { "make it a folder of its own, with mode 0700" };
    tracing::warn!(folder = %folder.display(), action, "other users can enter the data folder");
    Ok(())
}

fn is_own(folder: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return false };
    OWN_NAMES.iter().any(|name| folder.join(name).exists()) || entries.next().is_none()
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
        let home = root.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join("notes.txt"), "").unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
        create(&home).unwrap();
        assert_eq!(std::fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o755, "it is not ours alone");
    }
}
