//! Signed commits, as git itself verifies them.

use std::path::Path;
use std::process::Command;

use patchwright_core::CancellationToken;
use patchwright_core::git::{Git as _, GitError};
use patchwright_gitops_gix::{GitOptions, GixGit, SigningKey};
use patchwright_testkit::server::GitServer;

use crate::fixture::{FILES, commit_request, install_tls, path, request};

fn make_key(folder: &Path, kind: &str, passphrase: &str) -> std::path::PathBuf {
    let file = folder.join(kind);
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    file
}

async fn commit(server: &GitServer, key: SigningKey) -> Result<String, GitError> {
    install_tls();
    let folder = tempfile::tempdir().unwrap();
    let options = GitOptions { signing_key: Some(key), ..GitOptions::default() };
    let request = request(&server.path("acme/demo").display().to_string(), &folder.path().join("repo"));
    let workspace = GixGit::new(options).checkout(request, &CancellationToken::new()).await.unwrap();
    workspace.write(&path("src/a.py"), b"a = 2\n").await.unwrap();
    let first = workspace.commit(&[path("src/a.py")], &commit_request()).await?;
    let second = workspace.commit(&[path("src/a.py")], &commit_request()).await?;
    assert_eq!(first, second, "the same change is the same commit");
    let present = server.git("acme/demo", &["for-each-ref", "--format=%(objectname)", "refs/heads/agent/fix-1"]);
    workspace.push(&first, patchwright_domain::CommitSha::parse(&present).ok().as_ref(), None).await?;
    Ok(first.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_ssh_signs_is_verified_by_git() {
    let (server, keys) = (GitServer::start(), tempfile::tempdir().unwrap());
    server.make("acme/demo", FILES);
    for kind in ["ed25519", "rsa"] {
        let key = make_key(keys.path(), kind, "");
        let id = commit(&server, SigningKey::parse(key.to_str().unwrap())).await.unwrap();
        let allowed = keys.path().join("allowed");
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        std::fs::write(&allowed, format!("p@localhost {public}")).unwrap();
        let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        server.git("acme/demo", &["-c", "gpg.format=ssh", "-c", &setting, "verify-commit", &id]);
        server.git("acme/demo", &["fsck", "--strict"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_sign_is_named_with_the_reason() {
    let (server, keys) = (GitServer::start(), tempfile::tempdir().unwrap());
    server.make("acme/demo", FILES);
    let missing = commit(&server, SigningKey::Ssh(keys.path().join("none"))).await.unwrap_err().to_string();
    assert!(missing.contains("cannot be read"), "{missing}");
    let locked = make_key(keys.path(), "ed25519", "secret words");
    let locked = commit(&server, SigningKey::Ssh(locked)).await.unwrap_err().to_string();
    assert!(locked.contains("must have no passphrase"), "{locked}");
    let random = make_key(keys.path(), "ecdsa", "");
    let random = commit(&server, SigningKey::Ssh(random)).await.unwrap_err().to_string();
    assert!(random.contains("use an Ed25519 key"), "{random}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_gpg_signs_is_the_same_commit_each_time() {
    // gpg takes its key ring from a variable of the process, which a test does not change.
    let Ok(home) = std::env::var("GNUPGHOME") else {
        println!("GNUPGHOME is not set: GPG IS NOT TESTED");
        return;
    };
    let list =
        Command::new("gpg").args(["--list-secret-keys", "--with-colons"]).env("GNUPGHOME", home).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let key = list.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
    let server = GitServer::start();
    server.make("acme/demo", FILES);
    let id = commit(&server, SigningKey::parse(&format!("gpg:{key}"))).await.unwrap();
    server.git("acme/demo", &["verify-commit", &id]);
}
