//! Repositories that are too large, by accident or by intent.

use std::path::Path;
use std::process::{Command, Stdio};

use patchwright_core::CancellationToken;
use patchwright_core::git::{Git as _, GitError};
use patchwright_gitops_gix::{GitOptions, GixGit, Limits};
use patchwright_testkit::server::GitServer;

use crate::fixture::{FILES, install_tls, request, with_store};

async fn checkout(options: &GitOptions, url: &str) -> Result<(), GitError> {
    install_tls();
    let folder = tempfile::tempdir().unwrap();
    let request = request(url, &folder.path().join("repo"));
    GixGit::new(options.clone()).checkout(request, &CancellationToken::new()).await.map(|_| ())
}

fn limit_of(result: &Result<(), GitError>) -> &str {
    match result {
        Err(GitError::TooLarge { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

/// Commits a file of zeros: thousand times smaller in a pack.
fn commit_bomb(server: &GitServer, name: &str, megabytes: u64) {
    server.make(name, FILES);
    let repository = server.path(name);
    let mut hash = Command::new("git")
        .arg("-C")
        .arg(&repository)
        .args(["-c", "core.bigFileThreshold=1m", "hash-object", "-w", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = hash.stdin.take().unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..megabytes {
        std::io::Write::write_all(&mut stdin, &zeros).unwrap();
    }
    drop(stdin);
    let blob = String::from_utf8(hash.wait_with_output().unwrap().stdout).unwrap();
    let tree = format!("100644 blob {}\tzeros.bin\n", blob.trim());
    let list = repository.join("list");
    std::fs::write(&list, tree).unwrap();
    let mut mktree = Command::new("git");
    mktree.arg("-C").arg(&repository).arg("mktree").stdin(std::fs::File::open(&list).unwrap());
    let tree = String::from_utf8(mktree.output().unwrap().stdout).unwrap();
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
    let commit = server.git(name, &[&identity[..], &["commit-tree", "-m", "Bomb", tree.trim()]].concat());
    server.git(name, &["update-ref", "refs/heads/main", &commit]);
}

fn peak_memory_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// `BOMB_MB=1024` is the full size.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_unpacks_to_a_thousand_times_its_size_ends_the_child_and_not_this_process() {
    let megabytes = std::env::var("BOMB_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(160);
    let server = GitServer::start();
    commit_bomb(&server, "acme/bomb", megabytes);
    let store = tempfile::tempdir().unwrap();
    let before = peak_memory_megabytes();
    for memory_bytes in [64 << 20, 256 << 20] {
        let limits = Limits { memory_bytes, ..Limits::default() };
        let options = GitOptions { limits, ..with_store(store.path()) };
        let result = checkout(&options, &format!("{}/acme/bomb.git", server.url())).await;
        assert!(limit_of(&result).contains("GIT_MEMORY_MB"), "{result:?}");
    }
    let grown = peak_memory_megabytes() - before;
    assert!(grown < 64, "this process grew by {grown} MiB");
    // The store still serves what is not too large.
    server.git("acme/bomb", &["update-ref", "refs/heads/main", "main~0"]);
    server.make("acme/demo", FILES);
    checkout(&with_store(store.path()), &format!("{}/acme/demo.git", server.url())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_above_a_limit_is_refused_by_the_name_of_the_limit() {
    let server = GitServer::start();
    commit_bomb(&server, "acme/large", 12);
    server.make("acme/many", FILES);
    let store = tempfile::tempdir().unwrap();
    let limits = |limits: Limits| GitOptions { limits, ..with_store(store.path()) };
    let url = |name: &str| format!("{}/acme/{name}.git", server.url());
    let large = checkout(&limits(Limits { repository_bytes: 8 << 20, ..Limits::default() }), &url("large")).await;
    assert!(limit_of(&large).contains("more than 8 MiB (MAX_REPOSITORY_MB)"), "{large:?}");
    let many = checkout(&limits(Limits { files: 5, ..Limits::default() }), &url("many")).await;
    assert!(limit_of(&many).contains("more than 5 files (MAX_FILES)"), "{many:?}");
    // So is one on this machine, which is not fetched.
    let options = GitOptions { limits: Limits { files: 5, ..Limits::default() }, ..GitOptions::default() };
    let local = checkout(&options, &server.path("acme/many").display().to_string()).await;
    assert!(limit_of(&local).contains("MAX_FILES"), "{local:?}");
    checkout(&limits(Limits::default()), &url("large")).await.unwrap();
}

/// What a server sends may be larger than everything that is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pack_above_the_limit_ends_the_child() {
    let server = GitServer::start();
    server.make("acme/noise", FILES);
    let noise: Vec<u8> = (0..3_000_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let work = tempfile::tempdir().unwrap();
    push_file(&server, "acme/noise", work.path(), &noise);
    let store = tempfile::tempdir().unwrap();
    let limits = Limits { repository_bytes: 4 << 20, ..Limits::default() };
    let options = GitOptions { limits, ..with_store(store.path()) };
    let result = checkout(&options, &format!("{}/acme/noise.git", server.url())).await;
    assert!(limit_of(&result).contains("MAX_REPOSITORY_MB"), "{result:?}");
}

fn push_file(server: &GitServer, name: &str, work: &Path, bytes: &[u8]) {
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
        assert!(Command::new("git").arg("-C").arg(work).args(identity).args(args).status().unwrap().success());
    };
    git(&["clone", "-q", server.path(name).to_str().unwrap(), "."]);
    std::fs::write(work.join("noise.bin"), bytes).unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "Noise"]);
    git(&["push", "-q", "origin", "HEAD:main"]);
}
