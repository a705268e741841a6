//! The index cache: the scans of a repository in one file on disk.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first bytes of a file. The last byte is the version of the format: it must be raised whenever a cached value is encoded
/// or computed differently. Files of other versions are ignored.
const MAGIC: &[u8; 8] = b"pwidx\0\x00\x03";
/// The largest size of all files of a folder. The oldest files are removed first.
const MAX_FOLDER_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A map from keys to serialized values. Damaged files and files of other versions count as empty, because everything in them
/// can be computed again.
#[derive(Debug, Default)]
pub(crate) struct IndexCache {
    path: Option<PathBuf>,
    file: Vec<u8>,
    /// The range of each value in `file`.
    entries: HashMap<String, Range<usize>>,
    used: Mutex<HashSet<String>>,
    added: Mutex<HashMap<String, Vec<u8>>>,
}

impl IndexCache {
    /// Opens the cache of a repository in a folder.
    pub(crate) fn open(folder: &Path, repository: &str) -> Self {
        let path = folder.join(format!("{:016x}.index", hash_name(repository)));
        let file = std::fs::read(&path).unwrap_or_default();
        let entries = parse_entries(&file).unwrap_or_default();
        Self { path: Some(path), file, entries, ..Self::default() }
    }

    /// Returns a value that the file contains.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = postcard::from_bytes(&self.file[self.entries.get(key)?.clone()]).ok()?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        Some(value)
    }

    /// Adds a value, which [`Self::save`] writes.
    pub(crate) fn put(&self, key: &str, value: &impl Serialize) {
        if self.path.is_none() {
            return;
        }
        if let Ok(bytes) = postcard::to_stdvec(value) {
            self.added.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), bytes);
        }
    }

    /// Writes the file if values were added. Of two concurrent writers, one wins, with a complete file. Values that were not
    /// used are kept until they are larger than those that were.
    pub(crate) fn save(self) -> std::io::Result<()> {
        let added = self.added.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = self.path.filter(|_| !added.is_empty()) else { return Ok(()) };
        let used = self.used.into_inner().unwrap_or_else(PoisonError::into_inner);
        let size = |keep: &dyn Fn(&String) -> bool| -> usize {
            self.entries.iter().filter(|(key, _)| keep(key)).map(|(_, range)| range.len()).sum()
        };
        let needed = size(&|key| used.contains(key)) + added.values().map(Vec::len).sum::<usize>();
        let keeps_all = size(&|key| !used.contains(key)) <= needed;
        let mut values: Vec<(&String, &[u8])> = self
            .entries
            .iter()
            .filter(|(key, _)| !added.contains_key(*key) && (keeps_all || used.contains(*key)))
            .map(|(key, range)| (key, &self.file[range.clone()]))
            .chain(added.iter().map(|(key, bytes)| (key, bytes.as_slice())))
            .collect();
        values.sort_unstable_by_key(|(key, _)| *key);
        let mut body = Vec::with_capacity(needed * 2);
        for (key, bytes) in values {
            body.extend(u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend(key.as_bytes());
            body.extend(bytes);
        }
        write(&path, &body)
    }
}

fn write(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    remove_oldest(folder, body.len() as u64)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(body).to_le_bytes())?;
    file.write_all(body)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the files that were written longest ago until `needed` bytes fit into the folder's limit.
fn remove_oldest(folder: &Path, needed: u64) -> std::io::Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "index"))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total = files.iter().map(|(_, size, _)| size).sum::<u64>() + needed;
    for (_, size, path) in files {
        if total <= MAX_FOLDER_BYTES {
            break;
        }
        // Another process may have removed it already.
        let _ = std::fs::remove_file(path);
        total -= size;
    }
    Ok(())
}

/// Returns the range of each value in a file; `None` for a damaged file and for other versions.
fn parse_entries(file: &[u8]) -> Option<HashMap<String, Range<usize>>> {
    let rest = file.strip_prefix(MAGIC)?;
    let (sum, body) = rest.split_at_checked(4)?;
    if crc32fast::hash(body).to_le_bytes() != sum {
        return None;
    }
    let body_start = file.len() - body.len();
    let (mut entries, mut at) = (HashMap::new(), 0);
    while at < body.len() {
        let number = |start: usize| -> Option<usize> {
            Some(u32::from_le_bytes(body.get(start..start + 4)?.try_into().ok()?) as usize)
        };
        let (key_length, value_length) = (number(at)?, number(at + 4)?);
        let start = at + 8 + key_length;
        let key = std::str::from_utf8(body.get(at + 8..start)?).ok()?;
        body.get(start..start + value_length)?;
        entries.insert(key.to_owned(), body_start + start..body_start + start + value_length);
        at = start + value_length;
    }
    Some(entries)
}

/// Returns the FNV-1a hash of a repository's name, for the name of its file. The keys contain ids of blobs, so two repositories
/// in one file by a collision cost time only.
fn hash_name(repository: &str) -> u64 {
    repository.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_values_are_found_by_the_next_user() {
        let folder = tempfile::tempdir().unwrap();
        let cache = IndexCache::open(folder.path(), "acme/shop");
        cache.put("a", &vec![1_u32, 2]);
        cache.put("b", &"text");
        assert_eq!(cache.get::<Vec<u32>>("a"), None, "a value is available after it is saved");
        cache.save().unwrap();
        let cache = IndexCache::open(folder.path(), "acme/shop");
        assert_eq!(cache.get::<Vec<u32>>("a"), Some(vec![1, 2]));
        assert_eq!(cache.get::<String>("b").as_deref(), Some("text"));
        assert!(IndexCache::open(folder.path(), "acme/other").get::<String>("b").is_none());
    }

    #[test]
    fn unused_values_are_removed_when_they_are_larger_than_the_used_ones() {
        let folder = tempfile::tempdir().unwrap();
        let cache = IndexCache::open(folder.path(), "r");
        cache.put("old", &vec![0_u8; 1_000]);
        cache.put("used", &vec![0_u8; 10]);
        cache.save().unwrap();
        let cache = IndexCache::open(folder.path(), "r");
        assert!(cache.get::<Vec<u8>>("used").is_some());
        cache.put("new", &1);
        cache.save().unwrap();
        let cache = IndexCache::open(folder.path(), "r");
        assert!(cache.get::<Vec<u8>>("used").is_some() && cache.get::<i32>("new").is_some());
        assert!(cache.get::<Vec<u8>>("old").is_none());
    }

    #[test]
    fn a_damaged_file_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let cache = IndexCache::open(folder.path(), "r");
        cache.put("a", &"text");
        cache.save().unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let intact = std::fs::read(&path).unwrap();
        for (at, _) in intact.iter().enumerate() {
            let mut damaged = intact.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            assert!(IndexCache::open(folder.path(), "r").get::<String>("a").is_none(), "byte {at}");
            std::fs::write(&path, &intact[..at]).unwrap();
            assert!(IndexCache::open(folder.path(), "r").get::<String>("a").is_none(), "truncated at {at}");
        }
    }

    #[test]
    #[cfg(feature = "python")]
    fn the_encoding_of_cached_values_changes_only_with_the_version() {
        use crate::language::Language;
        use crate::outline::outline;
        use crate::scan::Scan;
        use crate::structure::Structure;
        use crate::words::Splitter;

        let text = "import os\n\nclass Reader:\n    \"\"\"Reads.\"\"\"\n    def read_line(self):\n        raise OSError(\"cannot read %s at all\")\n";
        let scan = Scan::new(text, Language::Python, &mut Splitter::default());
        let structure = Structure::new("a.py", text);
        let sum = crc32fast::hash(&postcard::to_stdvec(&(scan, structure, outline("a.py", text))).unwrap());
        // If this fails, raise the version in `MAGIC` together with the sum: existing files would be decoded wrongly.
        assert_eq!((sum, MAGIC[7]), (1_212_326_682, 3));
    }
}
