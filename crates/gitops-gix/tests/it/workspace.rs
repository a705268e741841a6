//! Working copies against every kind of remote. The git program verifies the results.

use std::collections::BTreeMap;

use patchwright_core::CancellationToken;
use patchwright_core::git::{
    Checkout, Git as _, GitError, MergedPart, RebaseConflict, Rebased, Resolution, Rework, Workspace,
};
use patchwright_domain::CommitSha;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::ChangeStatus;
use patchwright_gitops_gix::{GitOptions, GixGit};
use patchwright_testkit::build::start_of_time;
use patchwright_testkit::server::{GitServer, PASSWORD};

use crate::fixture::{FILES, branch, commit_request, credential, few_remotes, install_tls, path, remotes, with_store};

async fn checkout(
    url: &str,
    base: Option<&str>,
    folder: &tempfile::TempDir,
    password: &str,
) -> Result<Box<dyn Workspace>, GitError> {
    checkout_with(GitOptions::default(), url, base, folder, password).await
}

async fn checkout_with(
    options: GitOptions,
    url: &str,
    base: Option<&str>,
    folder: &tempfile::TempDir,
    password: &str,
) -> Result<Box<dyn Workspace>, GitError> {
    install_tls();
    let request = Checkout {
        url: url.to_owned(),
        base: base.map(branch),
        branch: branch("agent/fix-1"),
        rework: None,
        with_branch: false,
        push_url: None,
        credential: credential(password),
        destination: folder.path().join("repo"),
    };
    GixGit::new(options).checkout(request, &CancellationToken::new()).await
}

async fn change_commit_and_push(options: GitOptions, url: &str, server: &GitServer) {
    let folder = tempfile::tempdir().unwrap();
    let workspace = checkout_with(options, url, Some("main"), &folder, PASSWORD).await.unwrap();
    let files: Vec<String> = workspace.list_files("*").await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(files, [".gitattributes", ".gitignore", "README.md", "src/a.py", "src/deep/b.py", "windows.txt"]);
    assert_eq!(workspace.list_files("src/*.py").await.unwrap().len(), 2);
    assert!(workspace.list_changed_files().await.unwrap().is_empty(), "a new working copy has no changes");
    assert_eq!(workspace.read(&path("windows.txt")).await.unwrap().unwrap(), b"one\r\ntwo\r\n");
    assert_eq!(workspace.read(&path("ghost")).await.unwrap(), None);
    assert_eq!(workspace.commit(&[], &commit_request()).await.unwrap(), *workspace.base_commit(), "nothing to commit");

    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    workspace.write(&path("new/file.py"), b"new\n").await.unwrap();
    workspace.write(&path("windows.txt"), b"one\r\ntwo\r\nthree\r\n").await.unwrap();
    workspace.write(&path("ignored.log"), b"x\n").await.unwrap();
    workspace.remove(&path("README.md")).await.unwrap();
    let changed = workspace.list_changed_files().await.unwrap();
    let shown: Vec<String> = changed.iter().map(|file| format!("{} {}", file.status.letter(), file.file)).collect();
    assert_eq!(shown, ["D README.md", "A new/file.py", "M src/a.py", "M windows.txt"]);
    assert_eq!(changed[0].status, ChangeStatus::Deleted);

    let paths: Vec<RepoPath> = changed.into_iter().map(|file| file.file).collect();
    let first = workspace.commit(&paths, &commit_request()).await.unwrap();
    assert_eq!(workspace.commit(&paths, &commit_request()).await.unwrap(), first, "the same change is the same commit");
    workspace.push(&first, None, credential(PASSWORD).as_ref()).await.unwrap();
    workspace.push(&first, None, credential(PASSWORD).as_ref()).await.unwrap();

    // A second commit replaces the first one; a stale lease is refused.
    workspace.write(&path("src/a.py"), b"a = 3\n").await.unwrap();
    let second = workspace.commit(&paths, &commit_request()).await.unwrap();
    let stale = workspace.push(&second, None, credential(PASSWORD).as_ref()).await;
    assert!(matches!(stale, Err(GitError::LeaseLost { .. })), "{stale:?}");
    workspace.push(&second, Some(&first), credential(PASSWORD).as_ref()).await.unwrap();

    let git = |args: &[&str]| server.git("acme/demo", args);
    git(&["fsck", "--strict"]);
    assert_eq!(git(&["rev-parse", "agent/fix-1"]), second.to_string());
    assert_eq!(git(&["show", "agent/fix-1:src/a.py"]), "a = 3");
    assert_eq!(
        git(&["show", "agent/fix-1:windows.txt"]),
        "one\ntwo\nthree",
        "line endings follow the repository's attributes"
    );
    assert_eq!(git(&["diff", "--name-only", "main", "agent/fix-1"]), "README.md\nnew/file.py\nsrc/a.py\nwindows.txt");
    assert_eq!(
        git(&["log", "-1", "--format=%ad", "--date=unix", "agent/fix-1"]),
        start_of_time().as_second().to_string()
    );

    let out = folder.path().join("out");
    workspace.export(&first, &out).await.unwrap();
    assert_eq!(std::fs::read_to_string(out.join("src/a.py")).unwrap(), "a = 2\n");
    assert!(!out.join(".git").exists() && !out.join("README.md").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_committed_and_pushed_to_every_kind_of_remote() {
    for remote in remotes().await {
        remote.server.make("acme/demo", FILES);
        println!("{}", remote.name);
        change_commit_and_push(remote.options.clone(), &remote.url("acme/demo"), &remote.server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_is_reached_through_the_proxy_alone() {
    for has_store in [false, true] {
        let (server, store) = (GitServer::start(), tempfile::tempdir().unwrap());
        server.make("acme/demo", FILES);
        let options = if has_store { with_store(store.path()) } else { GitOptions::default() };
        // The server answers for every host, as a proxy does; no machine has the name of this one.
        let options = GitOptions { proxy: Some(server.url()), allow_clear_http: true, ..options };
        change_commit_and_push(options, "http://git.invalid/acme/demo.git", &server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_working_copy_contains_no_token() {
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    let folder = tempfile::tempdir().unwrap();
    let workspace = checkout(&format!("{}/acme/demo.git", server.url()), None, &folder, PASSWORD).await.unwrap();
    assert_eq!(workspace.base_branch().as_str(), "main", "the default is the remote's HEAD");
    let found = std::process::Command::new("grep").args(["-r", PASSWORD]).arg(folder.path()).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}

/// A second job continues the first one's branch, and a third one replaces the second one's commit.
async fn continue_and_rework_a_branch(options: GitOptions, url: &str, server: &GitServer) {
    install_tls();
    let folder = tempfile::tempdir().unwrap();
    let workspace = checkout_with(options.clone(), url, Some("main"), &folder, PASSWORD).await.unwrap();
    let change = async |workspace: &dyn Workspace, text: &str, expected: Option<&CommitSha>| {
        workspace.write(&path("src/a.py"), text.as_bytes()).await.unwrap();
        let commit = workspace.commit(&[path("src/a.py")], &commit_request()).await.unwrap();
        workspace.push(&commit, expected, credential(PASSWORD).as_ref()).await.unwrap();
        commit
    };
    let first = change(workspace.as_ref(), "a = 2\n", None).await;
    let checkout_again = async |rework: Option<Rework>| {
        let folder = tempfile::tempdir().unwrap();
        let request = Checkout {
            url: url.to_owned(),
            base: Some(branch("agent/fix-1")),
            branch: branch("agent/fix-1"),
            rework,
            with_branch: false,
            push_url: None,
            credential: credential(PASSWORD),
            destination: folder.path().join("repo"),
        };
        let workspace = GixGit::new(options.clone()).checkout(request, &CancellationToken::new()).await.unwrap();
        (workspace, folder)
    };
    let (workspace, _second) = checkout_again(None).await;
    assert_eq!(*workspace.base_commit(), first);
    workspace.write(&path("new.py"), b"new\n").await.unwrap();
    let paths = [path("new.py"), path("src/a.py")];
    let second = workspace.commit(&paths, &commit_request()).await.unwrap();
    workspace.push(&second, Some(&first), credential(PASSWORD).as_ref()).await.unwrap();

    let rework = Rework { tip: second.clone(), start: first.clone() };
    let (workspace, _third) = checkout_again(Some(rework.clone())).await;
    assert_eq!(*workspace.base_commit(), first, "the second commit is replaced");
    assert!(!workspace.root().join("new.py").exists() && workspace.list_changed_files().await.unwrap().is_empty());
    let third = change(workspace.as_ref(), "a = 3\n", Some(&second)).await;
    assert_eq!(server.git("acme/demo", &["log", "--format=%H", "main..agent/fix-1"]), format!("{third}\n{first}"));
    server.git("acme/demo", &["fsck", "--strict"]);

    // The branch has moved, so the working copy starts at its new tip.
    let (workspace, _fourth) = checkout_again(Some(rework)).await;
    assert_eq!(*workspace.base_commit(), third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_continued_and_reworked_on_every_kind_of_remote() {
    for remote in few_remotes().await {
        remote.server.make("acme/demo", FILES);
        println!("{}", remote.name);
        continue_and_rework_a_branch(remote.options.clone(), &remote.url("acme/demo"), &remote.server).await;
    }
}

/// The base branch advances, and a person adds a commit to the branch of a job.
async fn rebase_a_branch(options: GitOptions, url: &str, server: &GitServer) {
    install_tls();
    let git = |args: &[&str]| server.git("acme/demo", args);
    let checkout_to_rebase = async || {
        let folder = tempfile::tempdir().unwrap();
        let request = Checkout {
            url: url.to_owned(),
            base: Some(branch("main")),
            branch: branch("agent/fix-1"),
            rework: None,
            with_branch: true,
            push_url: None,
            credential: credential(PASSWORD),
            destination: folder.path().join("repo"),
        };
        GixGit::new(options.clone()).checkout(request, &CancellationToken::new()).await.map(|found| (found, folder))
    };
    let missing = checkout_to_rebase().await.err();
    assert!(
        matches!(&missing, Some(GitError::BranchNotFound { branch, .. }) if branch.as_str() == "agent/fix-1"),
        "{missing:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let workspace = checkout_with(options.clone(), url, Some("main"), &folder, PASSWORD).await.unwrap();
    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    workspace.remove(&path("README.md")).await.unwrap();
    let own = workspace.commit(&[path("src/a.py"), path("README.md")], &commit_request()).await.unwrap();
    workspace.push(&own, None, credential(PASSWORD).as_ref()).await.unwrap();
    let (on_top, _folder) = checkout_to_rebase().await.unwrap();
    assert_eq!(rebase(on_top.as_ref()).await, own, "there is nothing to rebase");
    let tip = server.commit_to("acme/demo", "agent/fix-1", "A person's words", &[("by/hand.py", Some("x = 1\n"))]);
    server.commit("acme/demo", "Elsewhere", &[("src/deep/b.py", Some("b = 2\n")), ("windows.txt", None)]);

    let (workspace, _folder) = checkout_to_rebase().await.unwrap();
    assert_eq!(workspace.branch_tip().map(CommitSha::as_str), Some(tip.as_str()));
    assert_eq!(workspace.base_commit().as_str(), git(&["rev-parse", "main"]));
    let rebased = rebase(workspace.as_ref()).await;
    assert_eq!(rebase(workspace.as_ref()).await, rebased, "the same commits give the same result");
    let changed = workspace.list_changed_files().await.unwrap();
    let shown: Vec<String> = changed.iter().map(|file| format!("{} {}", file.status.letter(), file.file)).collect();
    assert_eq!(shown, ["D README.md", "A by/hand.py", "M src/a.py"]);
    assert_eq!(workspace.read(&path("src/deep/b.py")).await.unwrap().unwrap(), b"b = 2\n");
    let stale = workspace.push(&rebased, Some(&own), credential(PASSWORD).as_ref()).await;
    assert!(matches!(stale, Err(GitError::LeaseLost { .. })), "{stale:?}");
    workspace.push(&rebased, workspace.branch_tip(), credential(PASSWORD).as_ref()).await.unwrap();
    git(&["fsck", "--strict"]);
    let log = git(&["log", "--format=%an/%cn %s", "main..agent/fix-1"]);
    assert_eq!(log, "t/patchwright A person's words\npatchwright/patchwright Fix #1");
    assert_eq!(git(&["show", "agent/fix-1:src/a.py"]), "a = 2");
    assert_eq!(git(&["diff", "--stat", "--summary", "main", "agent/fix-1", "--", "src/deep", "windows.txt"]), "");

    // The forge's button merged the base into the branch; the base has changed the same lines since.
    let work = tempfile::tempdir().unwrap();
    let at = work.path().to_str().unwrap().to_owned();
    let remote = server.path("acme/demo").to_str().unwrap().to_owned();
    git(&["clone", "-q", "-b", "agent/fix-1", &remote, &at]);
    server.commit("acme/demo", "Once", &[("src/deep/b.py", Some("b = 3\n"))]);
    let merge = ["-C", &at, "-c", "user.name=t", "-c", "user.email=t@t"];
    git(&["-C", &at, "fetch", "-q", "origin", "main"]);
    git(&[&merge[..], &["merge", "-q", "--no-ff", "-m", "Update branch", "FETCH_HEAD"]].concat());
    git(&["-C", &at, "push", "-q", "origin", "agent/fix-1"]);
    server.commit("acme/demo", "Twice", &[("src/deep/b.py", Some("b = 4\n"))]);
    let (workspace, _folder) = checkout_to_rebase().await.unwrap();
    rebase(workspace.as_ref()).await;
    assert_eq!(workspace.read(&path("src/deep/b.py")).await.unwrap().unwrap(), b"b = 4\n", "the merge is left out");

    server.commit("acme/demo", "The same line", &[("src/a.py", Some("a = 7\n"))]);
    let (workspace, _folder) = checkout_to_rebase().await.unwrap();
    let conflict = conflict(workspace.as_ref(), &[]).await;
    let [file] = conflict.files.as_slice() else { panic!("{conflict:?}") };
    let part = MergedPart::Conflict { before: "a = 1\n".into(), base: "a = 7\n".into(), branch: "a = 2\n".into() };
    assert_eq!((file.path.as_str(), file.parts.as_slice()), ("src/a.py", [part].as_slice()));
    assert_eq!(conflict.message, "Fix #1\n");
    assert!(workspace.list_changed_files().await.unwrap().is_empty(), "nothing was written");
    let files = BTreeMap::from([(file.path.clone(), "a = 9\n".to_owned())]);
    let resolutions = [Resolution { commit: conflict.commit, files }];
    let Rebased::Done(commit) = workspace.rebase(&commit_request(), &resolutions).await.unwrap() else {
        panic!("it is resolved")
    };
    workspace.push(&commit, workspace.branch_tip(), credential(PASSWORD).as_ref()).await.unwrap();
    git(&["fsck", "--strict"]);
    assert_eq!(git(&["show", "agent/fix-1:src/a.py"]), "a = 9");
    let log = git(&["log", "--format=%an/%cn %s", "main..agent/fix-1"]);
    assert_eq!(log, "t/patchwright A person's words\npatchwright/patchwright Fix #1", "what people pushed is kept");

    // A file that one side deleted is no text to merge.
    server.commit("acme/demo", "Deleted", &[("by/hand.py", Some("x = 5\n"))]);
    let (workspace, _folder) = checkout_to_rebase().await.unwrap();
    let both_added = self::conflict(workspace.as_ref(), &[]).await;
    assert_eq!(both_added.message.trim(), "A person's words");
    server.commit("acme/demo", "Deleted", &[("src/a.py", None), ("by/hand.py", None)]);
    let (workspace, _folder) = checkout_to_rebase().await.unwrap();
    let deleted = self::conflict(workspace.as_ref(), &[]).await;
    assert!(deleted.files.iter().any(|file| file.path.as_str() == "src/a.py" && file.parts.is_empty()), "{deleted:?}");
}

async fn rebase(workspace: &dyn Workspace) -> CommitSha {
    match workspace.rebase(&commit_request(), &[]).await.unwrap() {
        Rebased::Done(commit) => commit,
        Rebased::Conflict(conflict) => panic!("{conflict:?}"),
    }
}

async fn conflict(workspace: &dyn Workspace, resolutions: &[Resolution]) -> RebaseConflict {
    match workspace.rebase(&commit_request(), resolutions).await.unwrap() {
        Rebased::Conflict(conflict) => conflict,
        Rebased::Done(commit) => panic!("{commit}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_rebased_on_every_kind_of_remote() {
    for remote in few_remotes().await {
        remote.server.make("acme/demo", FILES);
        println!("{}", remote.name);
        rebase_a_branch(remote.options.clone(), &remote.url("acme/demo"), &remote.server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_clone_names_the_cause() {
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    server.make_empty("acme/empty");
    let at = |name: &str| format!("{}/{name}.git", server.url());
    let fails = |url: String, base: &'static str, password: &'static str| async move {
        let folder = tempfile::tempdir().unwrap();
        checkout(&url, Some(base), &folder, password).await.err().expect("the clone fails")
    };
    assert!(matches!(fails(at("acme/ghost"), "main", PASSWORD).await, GitError::RepositoryNotFound { .. }));
    assert!(matches!(fails(at("acme/empty"), "main", PASSWORD).await, GitError::EmptyRepository { .. }));
    assert!(matches!(fails(at("acme/demo"), "ghost", PASSWORD).await, GitError::BranchNotFound { .. }));
    let wrong = fails(at("acme/demo"), "main", "wrong-password-0123456789").await;
    assert!(matches!(wrong, GitError::Unauthorized { .. }), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-password"));
    let gone = fails("http://127.0.0.1:1/x.git".into(), "main", PASSWORD).await;
    assert!(matches!(gone, GitError::Unavailable { .. }), "{gone:?}");
    let local = |name: &str| server.path(name).display().to_string();
    assert!(matches!(fails(local("acme/ghost"), "main", PASSWORD).await, GitError::RepositoryNotFound { .. }));
    assert!(matches!(fails(local("acme/empty"), "main", PASSWORD).await, GitError::EmptyRepository { .. }));
    assert!(matches!(fails(local("acme/demo"), "ghost", PASSWORD).await, GitError::BranchNotFound { .. }));
}

/// Pushes a change of a file.
async fn push_a_change(server: &GitServer) -> Result<(), GitError> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}/acme/demo.git", server.url());
    let workspace = checkout(&url, Some("main"), &folder, PASSWORD).await.unwrap();
    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    let commit = workspace.commit(&[path("src/a.py")], &commit_request()).await.unwrap();
    workspace.push(&commit, None, credential(PASSWORD).as_ref()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_names_the_remotes_reason() {
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    server.refuse_pushes("acme/demo");
    let refused = push_a_change(&server).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the remote refused the push of `agent/fix-1`: pre-receive hook declined: protected"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c6_a_push_that_the_server_forbids_says_so() {
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    server.forbid_pushes("acme/demo");
    let refused = push_a_change(&server).await.unwrap_err();
    assert!(matches!(refused, GitError::PushForbidden { .. }), "{refused:?}");
    assert!(refused.to_string().contains("give it write access to the repository"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_link_out_of_the_working_copy_is_neither_read_nor_written() {
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    let folder = tempfile::tempdir().unwrap();
    let workspace =
        checkout(server.path("acme/demo").to_str().unwrap(), Some("main"), &folder, PASSWORD).await.unwrap();
    std::os::unix::fs::symlink("/etc", workspace.root().join("out")).unwrap();
    let outside = path("out/passwd");
    assert!(matches!(workspace.read(&outside).await, Err(GitError::PathEscape { .. })));
    assert!(matches!(workspace.write(&outside, b"x").await, Err(GitError::PathEscape { .. })));
    assert!(matches!(workspace.remove(&outside).await, Err(GitError::PathEscape { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_of_a_working_copy_is_the_base_commit_with_its_history() {
    let server = GitServer::start();
    server.make("acme/shop", FILES);
    let moved = [("src/a.py", Some("a = 2\n")), ("src/deep/b.py", None), ("src/deep", Some("now a file\n"))];
    server.commit("acme/shop", "Moved", &moved);
    let tip = server.commit("acme/shop", "Closed", &[("src/new/c.py", Some("c = 1\n"))]);
    let folder = tempfile::tempdir().unwrap();
    let url = server.path("acme/shop").display().to_string();
    let workspace = checkout(&url, Some("main"), &folder, PASSWORD).await.unwrap();
    let tree = workspace.tree();
    workspace.write(&path("src/a.py"), b"a = 3\n").await.unwrap();
    let files = tree.files().unwrap();
    let a = files.iter().find(|file| file.path == "src/a.py").unwrap();
    assert_eq!(tree.read(std::slice::from_ref(a), 100), [Some(b"a = 2\n".to_vec())], "later writes are not part of it");
    assert_eq!(tree.id(), Some(tip));
    let history = tree.history(10);
    let messages: Vec<&str> = history.iter().map(|entry| entry.message.trim()).collect();
    assert_eq!(messages, ["Closed", "Moved", "First commit"]);
    assert_eq!(tree.list_changed_paths(&history[0].id), ["src/new/c.py"]);
    assert_eq!(tree.list_changed_paths(&history[1].id), ["src/a.py", "src/deep/b.py", "src/deep"]);
    assert!(tree.list_changed_paths(&history[2].id).is_empty() && tree.list_changed_paths("no such commit").is_empty());
    let moved = &history[1].id;
    assert_eq!(tree.read_at(moved, "src/a.py", 100), Some(b"a = 2\n".to_vec()));
    let first = tree.first_parent(moved).unwrap();
    assert_eq!((first == history[2].id, tree.first_parent(&first)), (true, None));
    assert!(
        tree.read_at(&first, "src/deep/b.py", 100).is_some() && tree.read_at(moved, "src/deep/b.py", 100).is_none()
    );
    assert_eq!(tree.read_at(moved, "src/a.py", 3), None, "larger than allowed");
    for (commit, path) in [("no such commit", "src/a.py"), (moved.as_str(), "src"), (moved.as_str(), "../a.py")] {
        assert_eq!(tree.read_at(commit, path, 100), None, "{commit} {path}");
    }
}
