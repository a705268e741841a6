//! The size of the cache: what was not used for the longest time is deleted first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use patchwright_core::untrusted_tree::disk_bytes;

/// Deletes environments until the rest fits.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn shrink(environments: &Path, max_bytes: u64) -> io::Result<()> {
    let mut known: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    for entry in std::fs::read_dir(environments)? {
        let entry = entry?;
        let used = entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        known.push((used, entry.path(), disk_bytes(&[entry.path()])));
    }
    known.sort();
    let mut total: u64 = known.iter().map(|(.., bytes)| bytes).sum();
    for (_, path, bytes) in known {
        if total <= max_bytes {
            break;
        }
        crate::tree::delete(&path)?;
        total -= bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let cache = tempfile::tempdir().unwrap();
        for (name, age) in [("old", 300), ("new", 1), ("older", 900)] {
            let folder = cache.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("file"), vec![0; 100_000]).unwrap();
            std::fs::File::open(folder).unwrap().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        shrink(cache.path(), 250_000).unwrap();
        let left: Vec<_> =
            ["old", "new", "older"].into_iter().filter(|name| cache.path().join(name).exists()).collect();
        assert_eq!(left, ["old", "new"]);
    }
}
