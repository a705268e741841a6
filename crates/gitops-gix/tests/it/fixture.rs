//! Remotes of every kind, and what the tests share.

use std::path::{Path, PathBuf};

use patchwright_core::Secret;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, CommitRequest};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_domain::{BranchName, RepoPath};
use patchwright_gitops_gix::{GitOptions, SshOptions, StoreOptions};
use patchwright_testkit::build::start_of_time;
use patchwright_testkit::server::{GitServer, PASSWORD, SshServer, TlsProxy};
use tempfile::TempDir;

pub(crate) const FILES: &[(&str, &str)] = &[
    ("README.md", "hello\n"),
    ("src/a.py", "a = 1\n"),
    ("src/deep/b.py", "b = 1\n"),
    ("node_modules/x.js", "x\n"),
    (".gitattributes", "*.txt text eol=crlf\n"),
    (".gitignore", "*.log\n"),
    ("windows.txt", "one\ntwo\n"),
];

pub(crate) fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

pub(crate) fn branch(name: &str) -> BranchName {
    BranchName::parse(name).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "every caller needs an option")]
pub(crate) fn credential(password: &str) -> Option<GitCredential> {
    Some(GitCredential { username: "x-access-token".into(), password: Secret::new(password) })
}

pub(crate) fn commit_request() -> CommitRequest {
    CommitRequest {
        message: OutgoingText::own("Fix #1\n"),
        author_name: "patchwright".into(),
        author_email: "p@localhost".into(),
        at: start_of_time(),
    }
}

pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A checkout of `main` for the branch of a job.
pub(crate) fn request(url: &str, destination: &Path) -> Checkout {
    Checkout {
        url: url.to_owned(),
        base: Some(branch("main")),
        branch: branch("agent/fix-1"),
        rework: None,
        with_branch: false,
        push_url: None,
        credential: credential(PASSWORD),
        destination: destination.to_owned(),
    }
}

/// Returns the program of the example `git_child`, which is built with the tests.
pub(crate) fn child_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent).unwrap().join("examples/git_child");
    assert!(program.is_file(), "{} is missing: build the examples", program.display());
    program
}

/// Options with a store in a folder, and with a child.
pub(crate) fn with_store(folder: &Path) -> GitOptions {
    GitOptions {
        store: Some(StoreOptions::new(folder.to_owned())),
        child: Some(child_program()),
        environment: Some(["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap())).into()),
        ..GitOptions::default()
    }
}

/// A server and one way to reach it.
pub(crate) struct Remote {
    pub(crate) name: &'static str,
    pub(crate) server: GitServer,
    pub(crate) options: GitOptions,
    tls: Option<TlsProxy>,
    ssh: Option<SshServer>,
    is_local: bool,
    _store: TempDir,
}

impl Remote {
    pub(crate) fn url(&self, name: &str) -> String {
        match (&self.tls, &self.ssh) {
            (Some(tls), _) => format!("{}/{name}.git", tls.url()),
            (_, Some(ssh)) => ssh.url(&self.server.path(name)),
            _ if self.is_local => self.server.path(name).display().to_string(),
            _ => format!("{}/{name}.git", self.server.url()),
        }
    }
}

/// Returns a path on this machine, and HTTP and ssh with a store, where a test is long.
pub(crate) async fn few_remotes() -> Vec<Remote> {
    let remotes = remotes().await.into_iter();
    remotes.filter(|remote| remote.is_local != remote.options.store.is_some() && remote.name != "https").collect()
}

/// Returns a path on this machine, HTTP, HTTPS with a private authority, and OpenSSH: each alone, and with a store that a child
/// fills.
pub(crate) async fn remotes() -> Vec<Remote> {
    install_tls();
    let mut remotes = Vec::new();
    for has_store in [false, true] {
        for name in ["path", "http", "https", "ssh"] {
            let (server, store) = (GitServer::start(), tempfile::tempdir().unwrap());
            let mut options = if has_store { with_store(store.path()) } else { GitOptions::default() };
            let tls = if name == "https" { Some(TlsProxy::start(server.address()).await) } else { None };
            options.ca_bundle = tls.as_ref().map(TlsProxy::authority);
            let ssh = if name == "ssh" { SshServer::start() } else { None };
            if let Some(ssh) = &ssh {
                options.ssh = SshOptions { key: Some(ssh.key()), known_hosts: Some(ssh.known_hosts()) };
            } else if name == "ssh" {
                // `REQUIRE_SSH` makes this a failure.
                continue;
            }
            remotes.push(Remote { name, server, options, tls, ssh, is_local: name == "path", _store: store });
        }
    }
    remotes
}
