//! What remotes refuse, and the forms in which repositories come.

use patchwright_core::CancellationToken;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Git as _, GitError, PushRefusal, Workspace};
use patchwright_gitops_gix::{GitOptions, GixGit, SshOptions};
use patchwright_testkit::server::{GitServer, PASSWORD, SshServer, TlsProxy};

use crate::fixture::{FILES, commit_request, credential, install_tls, path, remotes, request};

async fn fails(options: &GitOptions, url: &str) -> GitError {
    let folder = tempfile::tempdir().unwrap();
    let request = request(url, &folder.path().join("repo"));
    GixGit::new(options.clone()).checkout(request, &CancellationToken::new()).await.err().expect("the checkout fails")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_remote_says_why_it_refuses() {
    for remote in remotes().await {
        remote.server.make("acme/demo", FILES);
        remote.server.make_empty("acme/empty");
        remote.server.git("acme/demo", &["branch", "-m", "main", "trunk"]);
        let missing = fails(&remote.options, &remote.url("acme/ghost")).await;
        assert!(matches!(missing, GitError::RepositoryNotFound { .. }), "{}: {missing:?}", remote.name);
        let empty = fails(&remote.options, &remote.url("acme/empty")).await;
        assert!(matches!(empty, GitError::EmptyRepository { .. }), "{}: {empty:?}", remote.name);
        let branch = fails(&remote.options, &remote.url("acme/demo")).await;
        assert!(matches!(branch, GitError::BranchNotFound { .. }), "{}: {branch:?}", remote.name);
        // Without a base branch the default one is used.
        let folder = tempfile::tempdir().unwrap();
        let mut request = request(&remote.url("acme/demo"), &folder.path().join("repo"));
        request.base = None;
        remote.server.git("acme/demo", &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
        let opened = GixGit::new(remote.options.clone()).checkout(request, &CancellationToken::new()).await.unwrap();
        assert_eq!(opened.base_branch().as_str(), "trunk", "{}", remote.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_prove_who_it_is_gets_nothing() {
    install_tls();
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    let tls = TlsProxy::start(server.address()).await;
    let error = fails(&GitOptions::default(), &format!("{}/acme/demo.git", tls.url())).await;
    assert!(matches!(error, GitError::Unavailable { .. }), "{error:?}");
    assert!(server.served().is_empty(), "no request, and so no token, was sent");
    let Some(ssh) = SshServer::start() else { return };
    let url = ssh.url(&server.path("acme/demo"));
    let with = |key, hosts| GitOptions {
        ssh: SshOptions { key: Some(key), known_hosts: Some(hosts) },
        ..GitOptions::default()
    };
    let error = fails(&with(ssh.key(), ssh.other_known_hosts()), &url).await;
    assert!(matches!(error, GitError::AddressRefused { .. }), "{error:?}");
    let error = fails(&with(ssh.strange_key(), ssh.known_hosts()), &url).await;
    assert!(matches!(error, GitError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_user_name_is_sent_as_a_bearer() {
    install_tls();
    let (server, folder) = (GitServer::start(), tempfile::tempdir().unwrap());
    server.make("acme/demo", FILES);
    let mut request = request(&format!("{}/acme/demo.git", server.url()), &folder.path().join("repo"));
    request.credential = request.credential.map(|known| GitCredential { username: String::new(), ..known });
    let credential = request.credential.clone();
    let workspace = GixGit::new(GitOptions::default()).checkout(request, &CancellationToken::new()).await.unwrap();
    let commit = change(workspace.as_ref()).await;
    workspace.push(&commit, None, credential.as_ref()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_remote_tells_why_it_refuses_a_push() {
    for remote in remotes().await {
        if remote.name == "path" {
            // Nobody serves it, so no hook runs.
            continue;
        }
        remote.server.make("acme/demo", FILES);
        let folder = tempfile::tempdir().unwrap();
        let request = request(&remote.url("acme/demo"), &folder.path().join("repo"));
        let workspace = GixGit::new(remote.options.clone()).checkout(request, &CancellationToken::new()).await.unwrap();
        let commit = change(workspace.as_ref()).await;
        let says = |words: &str| remote.server.refuse_pushes_with("acme/demo", words);
        for (words, expected) in [
            ("error: GH006: Protected branch update failed", PushRefusal::ProtectedBranch),
            ("error: GH001: Large files detected", PushRefusal::Quota),
            ("The message names no issue", PushRefusal::Hook),
        ] {
            says(words);
            let refused = workspace.push(&commit, None, credential(PASSWORD).as_ref()).await.unwrap_err();
            assert!(refused.to_string().contains(words), "{}: {refused}", remote.name);
            assert!(
                matches!(&refused, GitError::PushRefused { refusal, .. } if *refusal == expected),
                "{}: {refused:?}",
                remote.name
            );
        }
    }
}

async fn change(workspace: &dyn Workspace) -> patchwright_domain::CommitSha {
    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    workspace.commit(&[path("src/a.py")], &commit_request()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_branches_of_our_own_are_pushed() {
    install_tls();
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    server.git("acme/demo", &["branch", "agent/default", "main"]);
    server.git("acme/demo", &["symbolic-ref", "HEAD", "refs/heads/agent/default"]);
    let urls = [server.path("acme/demo").display().to_string(), format!("{}/acme/demo.git", server.url())];
    for (prefix, name, rule) in [
        ("agent/", "main", "only branches that begin with `agent/`"),
        ("agent/", "feature/x", "only branches that begin with `agent/`"),
        ("bots/", "agent/x", "only branches that begin with `bots/`"),
        ("agent/", "agent/default", "default branch"),
    ] {
        for url in &urls {
            let folder = tempfile::tempdir().unwrap();
            let mut request = request(url, &folder.path().join("repo"));
            request.branch = crate::fixture::branch(name);
            let options = GitOptions { push_prefix: prefix.to_owned(), ..GitOptions::default() };
            let workspace = GixGit::new(options).checkout(request, &CancellationToken::new()).await.unwrap();
            let commit = change(workspace.as_ref()).await;
            let refused = workspace
                .push(&commit, Some(workspace.base_commit()), credential(PASSWORD).as_ref())
                .await
                .unwrap_err();
            assert!(
                matches!(&refused, GitError::BranchRefused { rule: shown, .. } if shown.contains(rule)),
                "{refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_that_cannot_be_read_are_named() {
    install_tls();
    let server = GitServer::start();
    let (sha, reftable) = (server.path("acme/sha"), server.path("acme/reftable"));
    for (folder, option) in [(&sha, "--object-format=sha256"), (&reftable, "--ref-format=reftable")] {
        std::fs::create_dir_all(folder).unwrap();
        let mut init = std::process::Command::new("git");
        assert!(init.args(["init", "-q", "--bare", "-b", "main", option]).arg(folder).status().unwrap().success());
        let work = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
            let status =
                std::process::Command::new("git").arg("-C").arg(work.path()).args(identity).args(args).status();
            assert!(status.unwrap().success(), "{args:?}");
        };
        git(&["clone", "-q", folder.to_str().unwrap(), "."]);
        git(&["commit", "-q", "--allow-empty", "-m", "First"]);
        git(&["push", "-q", "origin", "HEAD:main"]);
    }
    let local = |folder: &std::path::Path| folder.display().to_string();
    let http = format!("{}/acme/sha.git", server.url());
    for url in [local(&sha), http] {
        let error = fails(&GitOptions::default(), &url).await;
        assert!(
            matches!(&error, GitError::FormatUnsupported { format, .. } if format.contains("SHA-256")),
            "{error:?}"
        );
    }
    let error = fails(&GitOptions::default(), &local(&reftable)).await;
    assert!(matches!(&error, GitError::FormatUnsupported { format, .. } if format.contains("reftable")), "{error:?}");
    // How references are stored is the server's business.
    let folder = tempfile::tempdir().unwrap();
    let request = request(&format!("{}/acme/reftable.git", server.url()), &folder.path().join("repo"));
    GixGit::new(GitOptions::default()).checkout(request, &CancellationToken::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions_links_and_submodules_block_no_change() {
    install_tls();
    let server = GitServer::start();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    let attributes = "*.utf16 working-tree-encoding=UTF-16\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.id ident\n*.dos text eol=crlf\n*.f filter=missing\n";
    let files = [
        (".gitattributes", attributes),
        ("big.bin", pointer),
        ("with.id", "$Id$\n"),
        ("mixed.dos", "a\nb\n"),
        ("smudged.f", "y\n"),
        ("src/a.py", "a = 1\n"),
    ];
    server.make("acme/demo", &files);
    let work = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"];
        let status = std::process::Command::new("git").arg("-C").arg(work.path()).args(identity).args(args).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    let remote = server.path("acme/demo").display().to_string();
    git(&["clone", "-q", "-c", "filter.lfs.required=false", "-n", &remote, "."]);
    git(&["reset", "-q"]);
    let head = server.git("acme/demo", &["rev-parse", "main"]);
    git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},vendored/sub")]);
    std::os::unix::fs::symlink("src/a.py", work.path().join("link")).unwrap();
    let bytes: Vec<u8> = "\u{feff}hello\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(work.path().join("text.utf16"), &bytes).unwrap();
    git(&["add", "link", "text.utf16"]);
    git(&["commit", "-q", "-m", "A submodule and a link"]);
    git(&["push", "-q", "origin", "main"]);
    for url in [remote.clone(), format!("{}/acme/demo.git", server.url())] {
        let folder = tempfile::tempdir().unwrap();
        let request = request(&url, &folder.path().join("repo"));
        let workspace = GixGit::new(GitOptions::default()).checkout(request, &CancellationToken::new()).await.unwrap();
        assert_eq!(workspace.read(&path("big.bin")).await.unwrap().unwrap(), pointer.as_bytes(), "pointers stay");
        assert_eq!(workspace.read(&path("mixed.dos")).await.unwrap().unwrap(), b"a\r\nb\r\n");
        let commit = change(workspace.as_ref()).await;
        let changed: Vec<String> =
            workspace.list_changed_files().await.unwrap().iter().map(|change| change.file.to_string()).collect();
        assert_eq!(changed, ["src/a.py"], "{url}");
        let expected = server.git("acme/demo", &["for-each-ref", "--format=%(objectname)", "refs/heads/agent/fix-1"]);
        let expected = patchwright_domain::CommitSha::parse(&expected).ok();
        workspace.push(&commit, expected.as_ref(), credential(PASSWORD).as_ref()).await.unwrap();
        assert_eq!(server.git("acme/demo", &["diff", "--name-only", "main", "agent/fix-1"]), "src/a.py");
        server.git("acme/demo", &["fsck", "--strict"]);
    }
}
