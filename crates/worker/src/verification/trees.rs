//! The two trees, of which the one that is tested is always at the same path.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use patchwright_core::sandbox::SandboxError;
use patchwright_core::untrusted_tree::read_below;
use patchwright_domain::RepoPath;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW};

use super::inline_tests::splice;
use super::test_edits::TestEdits;
use super::{Side, TreeSource};
use crate::folder::delete_folder;

/// The largest file whose text is compared.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// The trees before and after a change, without `.git`: untrusted code can neither read nor change what will be pushed.
pub(super) struct Trees<'a> {
    source: &'a dyn TreeSource,
    parent: PathBuf,
    changed: Vec<RepoPath>,
    active: Option<Side>,
    /// The tests of the change, which the base gets.
    overlay: BTreeMap<RepoPath, Vec<u8>>,
    has_overlay: bool,
    /// What the change does to the tests.
    pub(super) edits: TestEdits,
}

impl<'a> Trees<'a> {
    /// Writes both trees, and gives the base the tests of the change.
    pub(super) async fn create(
        source: &'a dyn TreeSource,
        parent: PathBuf,
        changed: Vec<RepoPath>,
    ) -> Result<Self, SandboxError> {
        let mut trees = Self {
            source,
            parent,
            changed,
            active: None,
            overlay: BTreeMap::new(),
            has_overlay: false,
            edits: TestEdits::default(),
        };
        for side in [Side::Base, Side::Head] {
            trees.export(side).await?;
        }
        // Both are as the repository has them: no code of it has run yet.
        trees.read_changes();
        trees.write_overlay().map_err(SandboxError::internal)?;
        Ok(trees)
    }

    async fn export(&self, side: Side) -> Result<(), SandboxError> {
        let folder = self.parent.join(name_of(side));
        delete_folder(folder.clone()).await.map_err(SandboxError::internal)?;
        self.source.export(side, folder).await
    }

    /// Returns the folder of a tree.
    pub(super) fn folder(&self, side: Side) -> PathBuf {
        let name = if self.active == Some(side) { ACTIVE } else { name_of(side) };
        self.parent.join(name)
    }

    /// Returns the tests of the change that the base has.
    pub(super) fn added_tests(&self) -> &BTreeMap<RepoPath, Vec<u8>> {
        static NONE: BTreeMap<RepoPath, Vec<u8>> = BTreeMap::new();
        if self.has_overlay { &self.overlay } else { &NONE }
    }

    /// Returns whether the base has tests of the change that it would not have.
    pub(super) const fn has_overlay(&self) -> bool {
        self.has_overlay
    }

    /// Writes the base again, with its own tests.
    pub(super) async fn restore_base(&mut self) -> Result<(), SandboxError> {
        self.has_overlay = false;
        self.restore(Side::Base).await
    }

    /// Writes a tree again, as the repository has it.
    pub(super) async fn restore(&mut self, side: Side) -> Result<(), SandboxError> {
        // Not by writing the files back: code has run in that tree.
        if self.active == Some(side) {
            self.active = None;
            delete_folder(self.parent.join(ACTIVE)).await.map_err(SandboxError::internal)?;
        }
        self.export(side).await
    }

    /// Moves a tree to the path at which trees are tested.
    pub(super) async fn activate(&mut self, side: Side) -> Result<PathBuf, SandboxError> {
        let path = self.parent.join(ACTIVE);
        if self.active == Some(side) {
            return Ok(path);
        }
        if let Some(other) = self.active.take() {
            fs::rename(&path, self.parent.join(name_of(other))).map_err(SandboxError::internal)?;
        }
        delete_folder(path.clone()).await.map_err(SandboxError::internal)?;
        fs::rename(self.parent.join(name_of(side)), &path).map_err(SandboxError::internal)?;
        self.active = Some(side);
        // Build tools that share their outputs between the trees compare times.
        for file in &self.changed {
            let _ = touch(&path, Path::new(file.as_str()));
        }
        Ok(path)
    }

    fn read_changes(&mut self) {
        let (base, head) = (self.parent.join(name_of(Side::Base)), self.parent.join(name_of(Side::Head)));
        for path in &self.changed {
            let (before, after) = (read_file(&base, path), read_file(&head, path));
            let text =
                |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let (old, new) = (text(&before), text(&after));
            self.edits.add(path, old.as_deref(), new.as_deref());
            if path.is_test() {
                self.overlay
                    .extend(after.filter(|after| Some(after) != before.as_ref()).map(|after| (path.clone(), after)));
            } else if let (Some("rs"), Some(old), Some(new)) = (path.extension(), &old, &new)
                && let Some(spliced) = splice(old, new)
            {
                self.overlay.insert(path.clone(), spliced.into_bytes());
            }
        }
    }

    fn write_overlay(&mut self) -> io::Result<()> {
        for (path, bytes) in &self.overlay {
            fs::write(make_place(&self.parent.join(name_of(Side::Base)), path)?, bytes)?;
            self.has_overlay = true;
        }
        Ok(())
    }
}

/// The folder of the tree that is tested.
const ACTIVE: &str = "tree";

const fn name_of(side: Side) -> &'static str {
    match side {
        Side::Base => "tree-before",
        Side::Head => "tree-after",
    }
}

/// Reads a plain file of a tree; nothing if there is none or it is long. What is read here is shown to the repository's code.
fn read_file(root: &Path, path: &RepoPath) -> Option<Vec<u8>> {
    read_below(root, Path::new(path.as_str()), MAX_TEXT_BYTES).ok()
}

/// Makes the folders for a file of a tree in which no code has run, and returns its place. What stands in their way, such as a
/// link that leads out, gives way.
pub fn make_place(root: &Path, path: &RepoPath) -> io::Result<PathBuf> {
    let mut place = root.to_owned();
    let mut parts = path.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        let is_last = parts.peek().is_none();
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() && is_last => fs::remove_dir_all(&place)?,
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => fs::remove_file(&place)?,
            Err(_) => {}
        }
        if !is_last && !place.exists() {
            fs::create_dir(&place)?;
        }
    }
    Ok(place)
}

/// Sets the time of a file to now. Links are not followed, since code has run in the tree.
fn touch(root: &Path, path: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let folder = rustix::fs::openat2(&root, parent, flags, Mode::empty(), rules)?;
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let name = path.file_name().unwrap_or_default();
    rustix::fs::utimensat(
        folder,
        name,
        &Timestamps { last_access: now, last_modification: now },
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_place_of_a_folder_shows_nothing_of_this_machine_and_takes_nothing_to_it() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "a secret").unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("tests")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), tree.path().join("link")).unwrap();
        let path = |path: &str| RepoPath::parse(path).unwrap();
        assert_eq!(read_file(tree.path(), &path("tests/secret")), None);
        assert_eq!(read_file(tree.path(), &path("link")), None);
        for file in ["tests/secret", "link", "tests/deep/new"] {
            fs::write(make_place(tree.path(), &path(file)).unwrap(), "a test").unwrap();
            assert_eq!(read_file(tree.path(), &path(file)).unwrap(), b"a test");
        }
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "a secret");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
