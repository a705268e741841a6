//! Git in memory: one remote, workspaces as maps, exports on the real disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{
    Checkout, CommitRequest, ConflictedFile, Git, GitError, HistoryDepth, MergedPart, RebaseConflict, Rebased,
    Resolution, TreeEntry, Workspace,
};
use patchwright_core::source_tree::{HistoryEntry, SourceTree, SourceTreeError, TreeFile};
use patchwright_domain::job::report::{ChangeStatus, ChangedFile};
use patchwright_domain::{BranchName, CommitSha, RepoPath};

type Files = BTreeMap<RepoPath, Vec<u8>>;

#[derive(Debug, Default)]
struct Remote {
    commits: BTreeMap<CommitSha, Files>,
    branches: BTreeMap<BranchName, CommitSha>,
    pushes: Vec<(BranchName, CommitSha)>,
    /// The first parents.
    parents: BTreeMap<CommitSha, CommitSha>,
    faults: Vec<GitError>,
}

/// A remote repository with the branch `main`.
#[derive(Debug, Clone, Default)]
pub struct FakeGit(Arc<Mutex<Remote>>);

impl FakeGit {
    /// Creates a remote whose `main` has these files.
    pub fn with_files(files: &[(&str, &str)]) -> Self {
        let git = Self::default();
        git.move_main(files);
        git
    }

    /// Adds a commit to `main` with exactly these files.
    pub fn move_main(&self, files: &[(&str, &str)]) {
        let files: Files =
            files.iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text.as_bytes().to_vec())).collect();
        let mut remote = self.0.lock().unwrap();
        let sha = hash(&files, "main");
        remote.commits.insert(sha.clone(), files);
        remote.branches.insert(BranchName::parse("main").unwrap(), sha);
    }

    /// Pushes a commit of another user with exactly these files to a branch.
    pub fn push_by_others(&self, branch: &BranchName, files: &[(&str, &str)]) {
        let files: Files =
            files.iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), text.as_bytes().to_vec())).collect();
        let mut remote = self.0.lock().unwrap();
        let sha = hash(&files, "others");
        if let Some(tip) = remote.branches.insert(branch.clone(), sha.clone()) {
            remote.parents.insert(sha.clone(), tip);
        }
        remote.commits.insert(sha, files);
    }

    /// Makes the next push fail with an error.
    pub fn fail_next_push(&self, error: GitError) {
        self.0.lock().unwrap().faults.push(error);
    }

    /// Returns every push that changed a branch: branch and commit.
    pub fn pushes(&self) -> Vec<(BranchName, CommitSha)> {
        self.0.lock().unwrap().pushes.clone()
    }

    /// Returns a file of a pushed branch.
    pub fn file(&self, branch: &BranchName, path: &str) -> Option<String> {
        let remote = self.0.lock().unwrap();
        let files = remote.commits.get(remote.branches.get(branch)?)?;
        files.get(&RepoPath::parse(path).unwrap()).map(|bytes| String::from_utf8(bytes.clone()).unwrap())
    }
}

fn hash(files: &Files, salt: &str) -> CommitSha {
    let mut text = salt.as_bytes().to_vec();
    for (path, bytes) in files {
        text.extend(path.as_str().as_bytes());
        text.extend(bytes);
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    CommitSha::parse(&hex[..40]).unwrap()
}

#[async_trait]
impl Git for FakeGit {
    async fn checkout(&self, request: Checkout, _: &CancellationToken) -> Result<Box<dyn Workspace>, GitError> {
        let remote = self.0.lock().unwrap();
        let base = request.base.expect("the pipeline names the base branch");
        let Some(tip) = remote.branches.get(&base).cloned() else {
            return Err(GitError::BranchNotFound { url: request.url, branch: base });
        };
        let rework =
            request.rework.filter(|rework| rework.tip == tip && remote.parents.get(&tip) == Some(&rework.start));
        let commit = rework.map_or(tip, |rework| rework.start);
        let files = remote.commits[&commit].clone();
        let branch_tip = request.with_branch.then(|| remote.branches.get(&request.branch).cloned());
        drop(remote);
        if branch_tip == Some(None) {
            return Err(GitError::BranchNotFound { url: request.url, branch: request.branch });
        }
        for (path, bytes) in &files {
            let place = request.destination.join(path.as_str());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, bytes).unwrap();
        }
        std::fs::create_dir_all(&request.destination).unwrap();
        Ok(Box::new(FakeWorkspace {
            remote: Arc::clone(&self.0),
            root: request.destination,
            base_branch: base,
            base_commit: commit,
            base: files.clone(),
            branch: request.branch,
            branch_tip: branch_tip.flatten(),
            files: Mutex::new(files),
        }))
    }
}

/// The tree of a commit of the remote, without history.
#[derive(Debug)]
struct FakeTree {
    id: String,
    files: Files,
}

impl SourceTree for FakeTree {
    fn id(&self) -> Option<String> {
        Some(self.id.clone())
    }

    fn files(&self) -> Result<Vec<TreeFile>, SourceTreeError> {
        let file = |(path, bytes): (&RepoPath, &Vec<u8>)| TreeFile {
            path: path.to_string(),
            blob: Some(format!("{:?}", ring::digest::digest(&ring::digest::SHA256, bytes))),
        };
        Ok(self.files.iter().map(file).collect())
    }

    fn read(&self, files: &[TreeFile], max_bytes: u64) -> Vec<Option<Vec<u8>>> {
        let content = |file: &TreeFile| {
            let content = self.files.get(&RepoPath::parse(&file.path).ok()?)?;
            (content.len() as u64 <= max_bytes).then(|| content.clone())
        };
        files.iter().map(content).collect()
    }

    fn history(&self, _: usize) -> Vec<HistoryEntry> {
        Vec::new()
    }

    fn list_changed_paths(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn read_at(&self, _: &str, _: &str, _: u64) -> Option<Vec<u8>> {
        None
    }

    fn first_parent(&self, _: &str) -> Option<String> {
        None
    }
}

struct FakeWorkspace {
    remote: Arc<Mutex<Remote>>,
    root: std::path::PathBuf,
    base_branch: BranchName,
    base_commit: CommitSha,
    base: Files,
    branch: BranchName,
    branch_tip: Option<CommitSha>,
    files: Mutex<Files>,
}

#[async_trait]
impl Workspace for FakeWorkspace {
    fn root(&self) -> &Path {
        &self.root
    }

    fn base_branch(&self) -> &BranchName {
        &self.base_branch
    }

    fn base_commit(&self) -> &CommitSha {
        &self.base_commit
    }

    fn branch_tip(&self) -> Option<&CommitSha> {
        self.branch_tip.as_ref()
    }

    fn history_depth(&self) -> HistoryDepth {
        HistoryDepth::Complete
    }

    async fn close(self: Box<Self>) {}

    /// Makes one commit of those of the branch; a file that both sides changed is a conflict of its whole text.
    async fn rebase(&self, request: &CommitRequest, resolutions: &[Resolution]) -> Result<Rebased, GitError> {
        let tip = self.branch_tip.clone().expect("the checkout named a branch to rebase");
        let mut remote = self.remote.lock().unwrap();
        let mut ancestor = tip.clone();
        while let Some(parent) = remote.parents.get(&ancestor) {
            ancestor = parent.clone();
        }
        if ancestor == self.base_commit {
            *self.files.lock().unwrap() = remote.commits[&tip].clone();
            return Ok(Rebased::Done(tip));
        }
        let (old, new) = (remote.commits[&ancestor].clone(), remote.commits[&tip].clone());
        let mut tree = self.base.clone();
        let mut files = Vec::new();
        let resolution = resolutions.iter().find(|resolution| resolution.commit == tip);
        let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for path in paths.into_iter().filter(|path| old.get(*path) != new.get(*path)) {
            let (before, base, branch) = (old.get(path), self.base.get(path), new.get(path));
            if base != before && base != branch {
                let text = |bytes: Option<&Vec<u8>>| String::from_utf8(bytes.cloned().unwrap_or_default()).unwrap();
                if let Some(text) = resolution.and_then(|resolution| resolution.files.get(path)) {
                    tree.insert(path.clone(), text.clone().into_bytes());
                    continue;
                }
                let part = MergedPart::Conflict { before: text(before), base: text(base), branch: text(branch) };
                let is_text = base.is_some() && branch.is_some();
                let parts = if is_text { vec![part] } else { Vec::new() };
                files.push(ConflictedFile { path: path.clone(), parts });
            }
            match branch {
                Some(bytes) => tree.insert(path.clone(), bytes.clone()),
                None => tree.remove(path),
            };
        }
        if !files.is_empty() {
            let message = "Fix it\n".to_owned();
            return Ok(Rebased::Conflict(RebaseConflict { commit: tip, message, files }));
        }
        let commit = hash(&tree, &format!("rebased {tip} {}", request.at));
        remote.commits.insert(commit.clone(), tree.clone());
        remote.parents.insert(commit.clone(), self.base_commit.clone());
        *self.files.lock().unwrap() = tree;
        Ok(Rebased::Done(commit))
    }

    fn tree(&self) -> Arc<dyn SourceTree> {
        Arc::new(FakeTree { id: self.base_commit.to_string(), files: self.base.clone() })
    }

    async fn tree_entries(&self) -> Result<BTreeMap<String, TreeEntry>, GitError> {
        let entry = |(path, bytes): (&RepoPath, &Vec<u8>)| {
            let id = String::from_utf8_lossy(bytes).into_owned();
            (path.to_string(), TreeEntry { mode: 0o100_644, id })
        };
        Ok(self.base.iter().map(entry).collect())
    }

    async fn list_files(&self, _: &str) -> Result<Vec<RepoPath>, GitError> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    async fn read(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, GitError> {
        Ok(self.files.lock().unwrap().get(path).cloned())
    }

    async fn write(&self, path: &RepoPath, content: &[u8]) -> Result<(), GitError> {
        self.files.lock().unwrap().insert(path.clone(), content.to_vec());
        Ok(())
    }

    async fn remove(&self, path: &RepoPath) -> Result<(), GitError> {
        self.files.lock().unwrap().remove(path);
        Ok(())
    }

    async fn list_changed_files(&self) -> Result<Vec<ChangedFile>, GitError> {
        let files = self.files.lock().unwrap();
        let mut changed = Vec::new();
        for (path, bytes) in files.iter() {
            let status = match self.base.get(path) {
                None => ChangeStatus::Added,
                Some(old) if old != bytes => ChangeStatus::Modified,
                Some(_) => continue,
            };
            changed.push(ChangedFile { status, file: path.clone() });
        }
        let gone = self.base.keys().filter(|path| !files.contains_key(*path));
        changed.extend(gone.map(|path| ChangedFile { status: ChangeStatus::Deleted, file: path.clone() }));
        Ok(changed)
    }

    async fn commit(&self, paths: &[RepoPath], request: &CommitRequest) -> Result<CommitSha, GitError> {
        let files = self.files.lock().unwrap();
        let mut tree = self.base.clone();
        for path in paths {
            match files.get(path) {
                Some(bytes) => tree.insert(path.clone(), bytes.clone()),
                None => tree.remove(path),
            };
        }
        if tree == self.base {
            return Ok(self.base_commit.clone());
        }
        let commit = hash(&tree, &format!("{}{}", request.message, request.at));
        let mut remote = self.remote.lock().unwrap();
        remote.commits.insert(commit.clone(), tree);
        remote.parents.insert(commit.clone(), self.base_commit.clone());
        Ok(commit)
    }

    async fn export(&self, commit: &CommitSha, destination: &Path) -> Result<(), GitError> {
        let remote = self.remote.lock().unwrap();
        for (path, bytes) in &remote.commits[commit] {
            let place = destination.join(path.as_str());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, bytes).unwrap();
        }
        Ok(())
    }

    async fn push(
        &self,
        commit: &CommitSha,
        expected: Option<&CommitSha>,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError> {
        let mut remote = self.remote.lock().unwrap();
        if credential.is_none() {
            return Err(GitError::Unauthorized { url: "fake:acme/demo".to_owned() });
        }
        if !remote.faults.is_empty() {
            return Err(remote.faults.remove(0));
        }
        let present = remote.branches.get(&self.branch).cloned();
        if present.as_ref() == Some(commit) {
            return Ok(());
        }
        if present.as_ref() != expected {
            return Err(GitError::LeaseLost { branch: self.branch.clone() });
        }
        remote.branches.insert(self.branch.clone(), commit.clone());
        remote.pushes.push((self.branch.clone(), commit.clone()));
        Ok(())
    }
}
