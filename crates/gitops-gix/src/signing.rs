//! Signing of commits, by the programs that git uses: `ssh-keygen` and `gpg`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gix::bstr::BString;
use patchwright_core::git::GitError;
use serde::{Deserialize, Serialize};

use crate::error::MAX_DETAIL_CHARS;
use crate::options::GitOptions;

/// A key that signs commits. Both kinds give the same signature for the same commit, if the algorithm allows it: RSA and
/// Ed25519 do, ECDSA keys of ssh do not and are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SigningKey {
    /// The file of a private key of ssh without a passphrase.
    Ssh(PathBuf),
    /// The id of a key in the key ring of `gpg`, without a passphrase.
    Gpg(String),
}

impl SigningKey {
    /// Parses `gpg:ID`, or the path of an ssh key.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("gpg:") {
            Some(id) => Self::Gpg(id.to_owned()),
            None => Self::Ssh(PathBuf::from(text)),
        }
    }
}

/// Adds the signature of the options' key to a commit.
pub(crate) fn sign(options: &GitOptions, commit: &mut gix::objs::Commit) -> Result<(), GitError> {
    let Some(key) = &options.signing_key else { return Ok(()) };
    let mut bytes = Vec::new();
    gix::objs::WriteTo::write_to(&*commit, &mut bytes).map_err(|error| failed(&error.to_string()))?;
    let signature = match key {
        SigningKey::Ssh(file) => sign_with_ssh(options, file, &bytes)?,
        SigningKey::Gpg(id) => sign_with_gpg(options, id, &bytes, commit.committer.time.seconds)?,
    };
    commit.extra_headers.push(("gpgsig".into(), BString::from(signature.trim_end())));
    Ok(())
}

fn sign_with_ssh(options: &GitOptions, key: &Path, commit: &[u8]) -> Result<String, GitError> {
    let shown = key.display();
    let mut read = options.command("ssh-keygen");
    let public = read.args(["-y", "-P", "", "-f"]).arg(key).stdin(Stdio::null()).output();
    let public = public.map_err(|error| failed(&format!("ssh-keygen cannot be started: {error}")))?;
    if !public.status.success() {
        let message = String::from_utf8_lossy(&public.stderr);
        return Err(failed(&format!("the key {shown} cannot be read; it must have no passphrase: {}", message.trim())));
    }
    if public.stdout.starts_with(b"ecdsa") || public.stdout.starts_with(b"sk-") {
        return Err(failed(&format!(
            "the key {shown} signs the same commit differently each time; use an Ed25519 key"
        )));
    }
    let mut sign = options.command("ssh-keygen");
    sign.args(["-Y", "sign", "-n", "git", "-f"]).arg(key);
    run(&mut sign, commit)
}

/// The time of the signature is the commit's, so that the same commit has the same signature.
fn sign_with_gpg(options: &GitOptions, id: &str, commit: &[u8], seconds: i64) -> Result<String, GitError> {
    let mut gpg = options.command("gpg");
    gpg.args(["--batch", "--no-tty", "--armor", "--detach-sign", "--digest-algo", "SHA512"]);
    gpg.arg(format!("--faked-system-time={seconds}!")).arg(format!("--local-user={id}"));
    run(&mut gpg, commit)
}

fn run(command: &mut Command, input: &[u8]) -> Result<String, GitError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format!("{program} cannot be started: {error}")))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that reads nothing says why on its standard error.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(failed(&format!("{program} says: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(detail: &str) -> GitError {
    GitError::SigningFailed { detail: detail.chars().take(MAX_DETAIL_CHARS).collect() }
}
