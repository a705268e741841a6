//! What was read of a repository, kept in one file for the next look at it.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What begins a file of this kind. The last digits are the format's: raise them whenever anything that is kept is read or
/// found in another way, for what other versions left is thrown away.
const MAGIC: &[u8; 8] = b"pwidx\0\x00\x02";
/// The most that all files of a folder may take together, in bytes; those used longest ago go first.
const FOLDER: u64 = 2 * 1024 * 1024 * 1024;

/// Values under keys. What is damaged, or was left by another version, is not there: everything here can be made anew.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    path: Option<PathBuf>,
    old: Vec<u8>,
    entries: HashMap<String, Range<usize>>,
    used: Mutex<HashSet<String>>,
    fresh: Mutex<HashMap<String, Vec<u8>>>,
}

impl Shelf {
    /// What was kept for a repository in a folder.
    pub(crate) fn open(folder: &Path, repository: &str) -> Self {
        let path = folder.join(format!("{:016x}.index", name(repository)));
        let old = std::fs::read(&path).unwrap_or_default();
        let entries = entries(&old).unwrap_or_default();
        Self { path: Some(path), old, entries, ..Self::default() }
    }

    /// A value.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = postcard::from_bytes(&self.old[self.entries.get(key)?.clone()]).ok()?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        Some(value)
    }

    /// Keeps a value, once [`Self::save`] is called.
    pub(crate) fn put(&self, key: &str, value: &impl Serialize) {
        if self.path.is_none() {
            return;
        }
        if let Ok(bytes) = postcard::to_stdvec(value) {
            self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), bytes);
        }
    }

    /// Writes what is new. Two that write at once leave one of the two files, whole. What was not asked for this time stays
    /// until it is more than what was.
    pub(crate) fn save(self) -> std::io::Result<()> {
        let fresh = self.fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = self.path.filter(|_| !fresh.is_empty()) else { return Ok(()) };
        let used = self.used.into_inner().unwrap_or_else(PoisonError::into_inner);
        let size = |keep: &dyn Fn(&String) -> bool| -> usize {
            self.entries.iter().filter(|(key, _)| keep(key)).map(|(_, range)| range.len()).sum()
        };
        let needed = size(&|key| used.contains(key)) + fresh.values().map(Vec::len).sum::<usize>();
        let keeps_all = size(&|key| !used.contains(key)) <= needed;
        let mut kept: Vec<(&String, &[u8])> = self
            .entries
            .iter()
            .filter(|(key, _)| !fresh.contains_key(*key) && (keeps_all || used.contains(*key)))
            .map(|(key, range)| (key, &self.old[range.clone()]))
            .chain(fresh.iter().map(|(key, bytes)| (key, bytes.as_slice())))
            .collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        let mut body = Vec::with_capacity(needed * 2);
        for (key, bytes) in kept {
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
    make_room(folder, body.len() as u64)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(body).to_le_bytes())?;
    file.write_all(body)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the files that were written longest ago until there is room.
fn make_room(folder: &Path, needed: u64) -> std::io::Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "index"))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total = files.iter().map(|(_, size, _)| size).sum::<u64>() + needed;
    for (_, size, path) in files {
        if total <= FOLDER {
            break;
        }
        // Somebody else may have removed it meanwhile.
        let _ = std::fs::remove_file(path);
        total -= size;
    }
    Ok(())
}

/// Where each value stands in a file; `None` for one that is not whole or of another version.
fn entries(file: &[u8]) -> Option<HashMap<String, Range<usize>>> {
    let rest = file.strip_prefix(MAGIC)?;
    let (sum, body) = rest.split_at_checked(4)?;
    if crc32fast::hash(body).to_le_bytes() != sum {
        return None;
    }
    let begin = file.len() - body.len();
    let (mut entries, mut at) = (HashMap::new(), 0);
    while at < body.len() {
        let number = |from: usize| -> Option<usize> {
            Some(u32::from_le_bytes(body.get(from..from + 4)?.try_into().ok()?) as usize)
        };
        let (key, value) = (number(at)?, number(at + 4)?);
        let from = at + 8 + key;
        let name = std::str::from_utf8(body.get(at + 8..from)?).ok()?;
        body.get(from..from + value)?;
        entries.insert(name.to_owned(), begin + from..begin + from + value);
        at = from + value;
    }
    Some(entries)
}

/// FNV-1a, 64 bits: the name of a file, which holds its repository's blobs by their own ids, so that a clash costs time only.
fn name(repository: &str) -> u64 {
    repository.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::outline::outline;
    use crate::scan::Scan;
    use crate::words::Splitter;

    #[test]
    fn what_was_put_is_there_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path(), "acme/shop");
        shelf.put("a", &vec![1_u32, 2]);
        shelf.put("b", &"text");
        assert_eq!(shelf.get::<Vec<u32>>("a"), None, "not before it is saved");
        shelf.save().unwrap();
        let shelf = Shelf::open(folder.path(), "acme/shop");
        assert_eq!(shelf.get::<Vec<u32>>("a"), Some(vec![1, 2]));
        assert_eq!(shelf.get::<String>("b").as_deref(), Some("text"));
        assert!(Shelf::open(folder.path(), "acme/other").get::<String>("b").is_none());
    }

    #[test]
    fn what_is_not_asked_for_goes_when_it_is_more_than_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path(), "r");
        shelf.put("old", &vec![0_u8; 1_000]);
        shelf.put("used", &vec![0_u8; 10]);
        shelf.save().unwrap();
        let shelf = Shelf::open(folder.path(), "r");
        assert!(shelf.get::<Vec<u8>>("used").is_some());
        shelf.put("new", &1);
        shelf.save().unwrap();
        let shelf = Shelf::open(folder.path(), "r");
        assert!(shelf.get::<Vec<u8>>("used").is_some() && shelf.get::<i32>("new").is_some());
        assert!(shelf.get::<Vec<u8>>("old").is_none());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path(), "r");
        shelf.put("a", &"text");
        shelf.save().unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        for (at, _) in whole.iter().enumerate() {
            let mut broken = whole.clone();
            broken[at] ^= 0x40;
            std::fs::write(&path, &broken).unwrap();
            assert!(Shelf::open(folder.path(), "r").get::<String>("a").is_none(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Shelf::open(folder.path(), "r").get::<String>("a").is_none(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_kept_of_a_text_changes_only_with_the_format() {
        let text = "import os\n\nclass Reader:\n    \"\"\"Reads.\"\"\"\n    def read_line(self):\n        raise OSError(\"cannot read %s at all\")\n";
        let scan = Scan::of(text, Language::Python, &mut Splitter::default());
        let sum = crc32fast::hash(&postcard::to_stdvec(&(scan, outline("a.py", text))).unwrap());
        // When this fails, raise the format in `MAGIC` with the number here: files that others left would be read wrongly.
        assert_eq!((sum, MAGIC[7]), (1_211_919_290, 2));
    }
}
