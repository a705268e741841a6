//! What is kept between jobs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::git::{Git as _, GitError, HistoryDepth, Rebased, Workspace};
use patchwright_gitops_gix::{GitOptions, GixGit, StoreOptions};
use patchwright_testkit::server::{GitServer, PASSWORD, Served};
use tempfile::TempDir;

use crate::fixture::{FILES, child_program, commit_request, credential, install_tls, path, request, with_store};

/// A server with one repository, and a client that keeps what it fetches.
struct Fixture {
    server: GitServer,
    store: TempDir,
    work: TempDir,
    git: GixGit,
}

impl Fixture {
    fn new() -> Self {
        let store = tempfile::tempdir().unwrap();
        let options = with_store(store.path());
        Self::with(store, options)
    }

    /// Without the history, whose fetch would be counted.
    fn without_history() -> Self {
        let store = tempfile::tempdir().unwrap();
        let mut options = with_store(store.path());
        options.store = Some(StoreOptions { history_depth: 0, ..StoreOptions::new(store.path().to_owned()) });
        Self::with(store, options)
    }

    fn with(store: TempDir, options: GitOptions) -> Self {
        install_tls();
        let server = GitServer::start();
        server.make("acme/demo", FILES);
        Self { server, store, work: tempfile::tempdir().unwrap(), git: GixGit::new(options) }
    }

    fn url(&self) -> String {
        format!("{}/acme/demo.git", self.server.url())
    }

    async fn checkout(&self, name: &str) -> Box<dyn Workspace> {
        let request = request(&self.url(), &self.work.path().join(name));
        self.git.checkout(request, &CancellationToken::new()).await.unwrap()
    }

    fn fetches(&self) -> usize {
        self.server.served().iter().filter(|served| served.is_fetch).count()
    }

    /// Returns the last stored repository.
    fn mirror(&self) -> PathBuf {
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "git"))
            .collect();
        found.sort();
        found.pop().unwrap()
    }

    /// Returns the folder of the repository in the store.
    fn folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.store.path()).unwrap().map(|entry| entry.unwrap().path());
        folders.find(|path| path.join("use.lock").exists()).unwrap()
    }
}

fn texts(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".git" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(root).unwrap().display().to_string();
                found.push(format!("{name}: {}", std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_job_uses_the_files_of_the_one_before_and_finds_nothing_of_it() {
    let fixture = Fixture::without_history();
    let first = fixture.checkout("first").await;
    assert_eq!(first.history_depth(), HistoryDepth::Commits(1));
    let clean = texts(first.root());
    let root = first.root().to_owned();
    let inode = |root: &Path| std::os::unix::fs::MetadataExt::ino(&root.join("src/deep/b.py").metadata().unwrap());
    let untouched = inode(&root);
    first.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    first.write(&path("new/file.py"), b"new\n").await.unwrap();
    first.write(&path("ignored.log"), b"x\n").await.unwrap();
    first.remove(&path("README.md")).await.unwrap();
    let commit = first.commit(&[path("src/a.py")], &commit_request()).await.unwrap();
    std::fs::set_permissions(root.join("windows.txt"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_file(root.join("node_modules/x.js")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("node_modules/x.js")).unwrap();
    std::fs::create_dir_all(root.join("empty/folder")).unwrap();
    std::fs::write(root.join(".git/config"), "[core]\n\tfsmonitor = touch /tmp/x\n").unwrap();
    first.close().await;
    assert!(!root.exists(), "the working copy went back to the store");

    let second = fixture.checkout("second").await;
    assert_eq!(
        (texts(second.root()), inode(second.root())),
        (clean.clone(), untouched),
        "nothing else was written again"
    );
    assert!(second.list_changed_files().await.unwrap().is_empty() && !second.root().join("empty").exists());
    let mode = second.root().join("windows.txt").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o111, 0, "the mode is the repository's: {mode:o}");
    let config = std::fs::read_to_string(second.root().join(".git/config")).unwrap();
    assert!(!config.contains("fsmonitor"), "{config}");
    assert!(
        second.export(&commit, &fixture.work.path().join("export")).await.is_err(),
        "the commit of the job before is gone"
    );
    assert_eq!(fixture.fetches(), 1, "nothing new was fetched");

    // The remote moves; a file becomes a folder and a folder a file.
    second.close().await;
    fixture.server.commit("acme/demo", "Moved", &[("src/deep/b.py", None), ("src/deep", Some("a file\n"))]);
    let tip = fixture.server.git("acme/demo", &["rev-parse", "main"]);
    let third = fixture.checkout("third").await;
    assert_eq!(third.base_commit().as_str(), tip);
    assert_eq!(third.read(&path("src/deep")).await.unwrap().unwrap(), b"a file\n");
    assert!(third.list_changed_files().await.unwrap().is_empty());
    let listed: Vec<String> = third.list_files("*").await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(listed, [".gitattributes", ".gitignore", "README.md", "src/a.py", "src/deep", "windows.txt"]);
    third.close().await;

    // Other attributes mean other bytes for the same objects, so the files are written anew.
    fixture.server.commit("acme/demo", "Attributes", &[(".gitattributes", Some("*.txt text eol=lf\n"))]);
    let fourth = fixture.checkout("fourth").await;
    assert_eq!(fourth.read(&path("windows.txt")).await.unwrap().unwrap(), b"one\ntwo\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_come_together_fetch_once() {
    let fixture = Fixture::without_history();
    let one = async |number: usize| fixture.checkout(&number.to_string()).await.base_commit().clone();
    let commits = futures_util::future::join_all((0..20).map(one)).await;
    assert!(commits.iter().all(|commit| *commit == commits[0]));
    assert_eq!(fixture.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_may_not_read_the_repository_gets_nothing_of_what_is_stored() {
    let fixture = Fixture::new();
    fixture.checkout("first").await.close().await;
    let mut request = request(&fixture.url(), &fixture.work.path().join("second"));
    request.credential = credential("wrong-password-0123456789");
    let refused = fixture.git.checkout(request.clone(), &CancellationToken::new()).await.err().unwrap();
    assert!(matches!(refused, GitError::Unauthorized { .. }), "{refused:?}");
    assert!(!request.destination.join("README.md").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_there_for_the_next_job() {
    let fixture = Fixture::new();
    for number in 0..5 {
        fixture.server.commit(
            "acme/demo",
            &format!("Change {number}"),
            &[("src/a.py", Some(&format!("a = {number}\n")))],
        );
    }
    let first = fixture.checkout("first").await;
    assert_eq!((first.tree().history(10).len(), first.history_depth()), (1, HistoryDepth::Commits(1)));
    fixture.git.wait_for_background_work().await;
    // The first job still reads what it began with.
    first.write(&path("src/a.py"), b"a = 9\n").await.unwrap();
    let commit = first.commit(&[path("src/a.py")], &commit_request()).await.unwrap();
    let second = fixture.checkout("second").await;
    assert_eq!((second.tree().history(10).len(), second.history_depth()), (6, HistoryDepth::Complete));
    first.push(&commit, None, credential(PASSWORD).as_ref()).await.unwrap();
    fixture.server.git("acme/demo", &["fsck", "--strict"]);
    first.close().await;
    second.close().await;
    let repositories = || {
        std::fs::read_dir(fixture.folder())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "git"))
    };
    assert_eq!(repositories().count(), 1, "the shallow repository is deleted when nobody reads it");
    let before = fixture.fetches();
    fixture.server.commit("acme/demo", "New", &[("src/a.py", Some("a = 10\n"))]);
    assert_eq!(fixture.checkout("third").await.tree().history(10).len(), 7);
    let new: Vec<Served> = fixture.server.served().into_iter().filter(|served| served.is_fetch).skip(before).collect();
    assert!(new.len() <= 2 && new.iter().all(|served| served.bytes < 2_000), "only what is new is fetched: {new:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_limited_stays_limited_and_a_rebase_fetches_what_it_needs() {
    let store = tempfile::tempdir().unwrap();
    let mut options = with_store(store.path());
    options.store = Some(StoreOptions { history_depth: 3, ..StoreOptions::new(store.path().to_owned()) });
    let fixture = Fixture::with(store, options);
    fixture.server.git("acme/demo", &["branch", "agent/fix-1", "main"]);
    fixture.server.commit_to("acme/demo", "agent/fix-1", "Ours", &[("src/new.py", Some("x = 1\n"))]);
    for number in 0..8 {
        fixture.server.commit(
            "acme/demo",
            &format!("Change {number}"),
            &[("src/a.py", Some(&format!("a = {number}\n")))],
        );
    }
    fixture.checkout("first").await.close().await;
    fixture.git.wait_for_background_work().await;
    let second = fixture.checkout("second").await;
    assert_eq!((second.tree().history(10).len(), second.history_depth()), (3, HistoryDepth::Commits(3)));
    second.close().await;
    let mut rebase = request(&fixture.url(), &fixture.work.path().join("third"));
    rebase.with_branch = true;
    let third = fixture.git.checkout(rebase, &CancellationToken::new()).await.unwrap();
    let Rebased::Done(commit) = third.rebase(&commit_request(), &[]).await.unwrap() else {
        panic!("nothing conflicts")
    };
    let shown: Vec<String> =
        third.list_changed_files().await.unwrap().iter().map(|change| change.file.to_string()).collect();
    assert_eq!(shown, ["src/new.py"]);
    third.push(&commit, third.branch_tip(), credential(PASSWORD).as_ref()).await.unwrap();
    assert_eq!(fixture.server.git("acme/demo", &["log", "--format=%s", "main..agent/fix-1"]), "Ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_repository_that_is_damaged_is_fetched_anew() {
    type Damage = fn(&Path);
    let damages: &[(&str, Damage)] = &[
        ("packs are missing", |mirror| std::fs::remove_dir_all(mirror.join("objects/pack")).unwrap()),
        ("packs are cut", |mirror| each_pack(mirror, |bytes| bytes.truncate(bytes.len() / 3))),
        ("packs have other bytes", |mirror| {
            each_pack(mirror, |bytes| {
                let middle = bytes.len() / 2;
                bytes[20..middle].fill(7);
            });
        }),
        ("packs are empty", |mirror| each_pack(mirror, Vec::clear)),
        ("references are cut", |mirror| {
            for entry in std::fs::read_dir(mirror.join("refs/tips")).unwrap() {
                std::fs::write(entry.unwrap().path(), "").unwrap();
            }
        }),
        ("the configuration is no text", |mirror| std::fs::write(mirror.join("config"), [0xff, 0, 1]).unwrap()),
        ("HEAD is missing", |mirror| std::fs::remove_file(mirror.join("HEAD")).unwrap()),
        ("the boundary is no list", |mirror| std::fs::write(mirror.join("shallow"), "not an id\n").unwrap()),
    ];
    for (name, damage) in damages {
        let fixture = Fixture::new();
        let first = fixture.checkout("first").await;
        let clean = texts(first.root());
        drop(first);
        damage(&fixture.mirror());
        fixture.server.commit("acme/demo", "New", &[("src/c.py", Some("c = 1\n"))]);
        let second = fixture.checkout("second").await;
        assert_eq!(texts(second.root()).len(), clean.len() + 1, "{name}");
        drop(second);
        let third = fixture.checkout("third").await;
        assert_eq!(texts(third.root()).len(), clean.len() + 1, "{name}");
    }
}

fn each_pack(mirror: &Path, change: impl Fn(&mut Vec<u8>)) {
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_killed_at_any_moment_leaves_a_store_that_the_next_job_uses() {
    let fixture = Fixture::new();
    for round in 0..40_u64 {
        let text = format!("a = {round}\n");
        fixture.server.commit("acme/demo", "Next", &[("src/a.py", Some(&text))]);
        let cancel = CancellationToken::new();
        let name = format!("killed-{round}");
        let request = request(&fixture.url(), &fixture.work.path().join(&name));
        let checkout = fixture.git.checkout(request, &cancel);
        let kill = async {
            // Every few milliseconds of a checkout is a moment in which it may be killed.
            tokio::time::sleep(Duration::from_millis(round * 3 % 97)).await;
            cancel.cancel();
        };
        let (killed, ()) = tokio::join!(checkout, kill);
        if let Ok(workspace) = killed {
            workspace.close().await;
        }
        if round % 4 == 3 {
            let workspace = fixture.checkout(&format!("next-{round}")).await;
            assert_eq!(workspace.read(&path("src/a.py")).await.unwrap().unwrap(), text.as_bytes());
            assert!(workspace.list_changed_files().await.unwrap().is_empty());
            workspace.close().await;
        }
    }
    fixture.git.wait_for_background_work().await;
    let mirror = fixture.mirror();
    let fsck = std::process::Command::new("git").arg("-C").arg(&mirror).args(["fsck", "--connectivity-only"]).output();
    assert!(fsck.unwrap().status.success(), "the stored repository is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_to_its_size_and_never_deletes_what_is_in_use() {
    install_tls();
    let (store, work, server) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), GitServer::start());
    let mut options = with_store(store.path());
    options.store = Some(StoreOptions { max_bytes: 1, history_depth: 0, ..StoreOptions::new(store.path().to_owned()) });
    let checkout = async |name: &str, git: &GixGit| {
        let url = format!("{}/acme/{name}.git", server.url());
        let workspace = git.checkout(request(&url, &work.path().join(name)), &CancellationToken::new()).await.unwrap();
        git.wait_for_background_work().await;
        workspace
    };
    for name in ["one", "two"] {
        server.make(&format!("acme/{name}"), FILES);
    }
    // Each client looks at the size with its first checkout.
    let used = checkout("one", &GixGit::new(options.clone())).await;
    checkout("two", &GixGit::new(options.clone())).await.close().await;
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.path().join("use.lock").exists());
        folders.map(|entry| std::fs::read_to_string(entry.path().join("address")).unwrap()).collect()
    };
    assert!(names().iter().any(|name| name.contains("acme/one")), "it is in use: {:?}", names());
    server.make("acme/three", FILES);
    drop(checkout("three", &GixGit::new(options)).await);
    assert!(!names().iter().any(|name| name.contains("acme/two")), "it was used before: {:?}", names());
    assert!(
        used.read(&path("README.md")).await.unwrap().is_some() && used.tree().files().unwrap().len() == FILES.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_a_file_an_argument_or_a_variable() {
    let (store, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Looks at what everybody on the machine, or its own children, could see.
    let spy = outside.path().join("spy");
    let log = outside.path().join("log");
    let script = format!(
        "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/cmdline >> {log}\ntr '\\0' '\\n' < /proc/$$/environ >> {log}\nexec {} \"$@\"\n",
        child_program().display(),
        log = log.display()
    );
    std::fs::write(&spy, script).unwrap();
    std::fs::set_permissions(&spy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = GitOptions { child: Some(spy), ..with_store(store.path()) };
    let fixture = Fixture::with(store, options);
    let workspace = fixture.checkout("first").await;
    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    let commit = workspace.commit(&[path("src/a.py")], &commit_request()).await.unwrap();
    workspace.push(&commit, None, credential(PASSWORD).as_ref()).await.unwrap();
    fixture.git.wait_for_background_work().await;
    let seen = std::fs::read_to_string(&log).unwrap();
    assert!(seen.contains("git-child") && !seen.contains(PASSWORD), "{seen}");
    assert!(!seen.contains("CARGO"), "the child has few variables: {seen}");
    for folder in [fixture.store.path(), fixture.work.path()] {
        let found = std::process::Command::new("grep").args(["-r", PASSWORD]).arg(folder).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}
