//! The operations of `docs/requirements.md#r262`, on a clone that stands alone.

use patchwright_core::git::GitError;
use patchwright_gitops_gix::{GitOptions, WorkingCopy, import_repository};
use patchwright_testkit::server::PASSWORD;

use crate::fixture::{FILES, branch, commit_request, credential, path, remotes};

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_changed_committed_and_pushed_step_by_step() {
    for remote in remotes().await {
        remote.server.make("acme/demo", FILES);
        let git = |args: &[&str]| remote.server.git("acme/demo", args);
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("copy");
        let url = remote.url("acme/demo");
        let options = remote.options.clone();
        let copy = WorkingCopy::clone_repo(options, &url, None, credential(PASSWORD), &at).await.unwrap();
        assert_eq!(copy.branch().unwrap(), Some(branch("main")));
        copy.create_branch(&branch("agent/x"), &branch("main")).await.unwrap();
        let copy = WorkingCopy::open(remote.options.clone(), copy.root()).unwrap();
        assert_eq!(copy.branch().unwrap(), Some(branch("agent/x")));
        let unchanged = copy.commit(&commit_request()).await.unwrap();
        assert_eq!(unchanged.to_string(), git(&["rev-parse", "main"]), "nothing to commit is a success");

        copy.write_file(&path("src/new/c.py"), b"c = 1\n").await.unwrap();
        copy.append_file(&path("src/new/c.py"), b"d = 2\n").await.unwrap();
        copy.append_file(&path("src/a.py"), b"e = 3\n").await.unwrap();
        copy.write_file(&path("noise.log"), b"x\n").await.unwrap();
        assert!(copy.file_exists(&path("src/new/c.py")).await.unwrap());
        assert!(!copy.file_exists(&path("src/new")).await.unwrap() && !copy.file_exists(&path("ghost")).await.unwrap());
        let listed: Vec<String> = copy.list_files("src/**").await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(listed, ["src/a.py", "src/deep/b.py", "src/new/c.py"], "new files are listed");
        copy.add_file(&path("src/a.py")).await.unwrap();
        let first = copy.commit(&commit_request()).await.unwrap();
        let left: Vec<String> =
            copy.list_changed_files().await.unwrap().iter().map(|file| file.file.to_string()).collect();
        assert_eq!(left, ["src/new/c.py"], "only what was added is committed");
        std::fs::remove_file(at.join("README.md")).unwrap();
        let second = copy.commit_changes(&commit_request()).await.unwrap();
        assert!(copy.list_changed_files().await.unwrap().is_empty());
        assert_eq!(copy.commit_changes(&commit_request()).await.unwrap(), second);

        copy.push_branch(credential(PASSWORD).as_ref()).await.unwrap();
        git(&["fsck", "--strict"]);
        assert_eq!(git(&["log", "--format=%H", "main..agent/x"]), format!("{second}\n{first}"));
        assert_eq!(git(&["show", "agent/x:src/new/c.py"]), "c = 1\nd = 2");
        assert_eq!(git(&["diff", "--name-only", "main", "agent/x"]), "README.md\nsrc/a.py\nsrc/new/c.py");
        copy.write_file(&path("src/a.py"), b"a = 9\n").await.unwrap();
        copy.add_all().await.unwrap();
        let third = copy.commit(&commit_request()).await.unwrap();
        let stale = copy.push(Some(&first), credential(PASSWORD).as_ref()).await.unwrap_err();
        assert!(matches!(stale, GitError::LeaseLost { .. }), "{}: {stale:?}", remote.name);
        copy.push(Some(&second), credential(PASSWORD).as_ref()).await.unwrap();
        assert_eq!(git(&["rev-parse", "agent/x"]), third.to_string());
        let config = std::fs::read_to_string(at.join(".git/config")).unwrap();
        assert!(!config.contains(PASSWORD), "{config}");
        // The git program finds everything in order.
        let status =
            std::process::Command::new("git").arg("-C").arg(&at).args(["status", "--porcelain"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&status.stdout), "", "{}", remote.name);

        copy.create_branch(&branch("agent/y"), &branch("main")).await.unwrap();
        assert_eq!(std::fs::read_to_string(at.join("src/a.py")).unwrap(), "a = 1\n");
        assert!(at.join("README.md").exists() && !at.join("src/new").exists());
        copy.create_branch(&branch("agent/main-again"), &branch("main")).await.unwrap();
        let missing = copy.create_branch(&branch("agent/z"), &branch("ghost")).await.unwrap_err();
        assert!(matches!(missing, GitError::BranchNotFound { .. }), "{missing:?}");
    }
    let nothing = tempfile::tempdir().unwrap();
    assert!(matches!(
        WorkingCopy::open(GitOptions::default(), nothing.path()),
        Err(GitError::RepositoryNotFound { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_imported_with_the_history_of_one_branch() {
    for remote in remotes().await {
        remote.server.make("acme/demo", FILES);
        remote.server.commit("acme/demo", "change a", &[("src/a.py", Some("a = 2\n"))]);
        let theirs = |args: &[&str]| remote.server.git("acme/demo", args);
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("shop.git");
        let url = remote.url("acme/demo");
        let secret = credential(PASSWORD);
        let imported = import_repository(&remote.options, &url, None, secret.as_ref(), &at).await.unwrap();
        assert_eq!(imported, branch("main"), "{}", remote.name);
        let ours = |args: &[&str]| patchwright_testkit::server::git(&at, args);
        assert_eq!(ours(&["rev-list", "--all"]), theirs(&["rev-list", "main"]), "{}: the whole history", remote.name);
        assert_eq!(ours(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main", "{}", remote.name);
        assert_eq!(ours(&["symbolic-ref", "HEAD"]), "refs/heads/main");
        ours(&["fsck", "--strict"]);
        let again = import_repository(&remote.options, &url, None, secret.as_ref(), &at).await;
        assert!(again.is_err(), "{}: nothing is overwritten", remote.name);
        let ghost = folder.path().join("ghost.git");
        let error = import_repository(&remote.options, &url, Some(&branch("ghost")), secret.as_ref(), &ghost).await;
        assert!(matches!(error, Err(GitError::BranchNotFound { .. })), "{}: {error:?}", remote.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_borrows_its_objects_is_imported_with_them() {
    let server = patchwright_testkit::server::GitServer::start();
    server.make("acme/demo", FILES);
    let folder = tempfile::tempdir().unwrap();
    let lender = server.path("acme/demo");
    let copy = folder.path().join("copy");
    let args = ["clone", "-q", "--shared", lender.to_str().unwrap(), copy.to_str().unwrap()];
    patchwright_testkit::server::git(folder.path(), &args);
    let at = folder.path().join("shop.git");
    import_repository(&GitOptions::default(), copy.to_str().unwrap(), None, None, &at).await.unwrap();
    std::fs::remove_dir_all(lender).unwrap();
    patchwright_testkit::server::git(&at, &["fsck", "--strict"]);
}
