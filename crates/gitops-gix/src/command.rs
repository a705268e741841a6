//! The git program, for `ssh://` remotes, which gix's transports do not support.
//!
//! All commands are built here, with a fixed locale and without prompts, hooks and the user's git configuration. The key
//! comes from the ssh agent or the user's ssh configuration; tokens are not used with ssh.

use std::process::{Command, Stdio};

use patchwright_core::git::{Checkout, GitError};
use patchwright_domain::BranchName;
use url::Url;

use crate::GitOptions;
use crate::address::Address;
use crate::clone::{clone_depth, open_options};
use crate::error::{MAX_DETAIL_CHARS, internal, io_error};
use crate::push::Push;

fn git_command(options: &GitOptions) -> Command {
    let mut command = Command::new(&options.git_program);
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "protocol.allow=never"])
        .args(["-c", "protocol.ssh.allow=always", "-c", "submodule.recurse=false"])
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command, action: &str, url: &str) -> Result<String, GitError> {
    let output = command.output().map_err(io_error(format!("{action} with the git program")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let detail: String = error.trim().chars().take(MAX_DETAIL_CHARS).collect();
    Err(if error.contains("Permission denied") {
        GitError::Unauthorized { url: url.to_owned() }
    } else if error.contains("does not appear to be a git repository") || error.contains("not found") {
        GitError::RepositoryNotFound { url: url.to_owned() }
    } else {
        GitError::Unavailable { url: url.to_owned(), detail }
    })
}

/// Clones one branch, shallow and without writing files.
pub(crate) fn clone(
    options: &GitOptions,
    url: &Url,
    address: &Address,
    request: &Checkout,
) -> Result<(gix::Repository, BranchName), GitError> {
    let mut command = git_command(options);
    command.args(["clone", "--quiet", "--no-checkout", "--no-tags"]);
    if !request.with_branch {
        command.arg("--single-branch").arg(format!("--depth={}", clone_depth(request)));
    }
    if let Some(base) = &request.base {
        command.arg(format!("--branch={base}"));
    }
    command.arg("--").arg(url.as_str()).arg(&request.destination);
    run(&mut command, "cloning", &address.redacted())?;
    let repo = gix::open_opts(&request.destination, open_options()).map_err(internal("opening the working copy"))?;
    let head = repo.head_name().map_err(internal("reading HEAD"))?;
    let base = head.and_then(|name| BranchName::parse(&name.shorten().to_string()).ok());
    let base = base.ok_or_else(|| GitError::EmptyRepository { url: address.redacted() })?;
    Ok((repo, base))
}

/// Pushes with a lease.
pub(crate) fn push(options: &GitOptions, url: &Url, repo: &gix::Repository, push: &Push<'_>) -> Result<(), GitError> {
    let name = push.branch.full_ref();
    let lease = push.expected.map(|id| id.to_string()).unwrap_or_default();
    let mut command = git_command(options);
    command
        .arg("--git-dir")
        .arg(repo.git_dir())
        .args(["push", "--porcelain"])
        .arg(format!("--force-with-lease={name}:{lease}"))
        .arg("--")
        .arg(url.as_str())
        .arg(format!("{}:{name}", push.commit));
    let output = command.output().map_err(io_error("pushing with the git program"))?;
    let report = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(());
    }
    Err(match rejection(&report) {
        Some(reason) if reason.contains("stale info") => GitError::LeaseLost { branch: push.branch.clone() },
        Some(reason) => GitError::PushRefused { branch: push.branch.clone(), reason: reason.to_owned() },
        None => {
            let detail: String =
                String::from_utf8_lossy(&output.stderr).trim().chars().take(MAX_DETAIL_CHARS).collect();
            GitError::Unavailable { url: Address::Ssh(url.clone()).redacted(), detail }
        }
    })
}

/// Returns the reason of a rejected reference in the report of `git push --porcelain`: `!\tfrom:to\t[rejected] (reason)`.
fn rejection(report: &str) -> Option<&str> {
    let line = report.lines().find(|line| line.starts_with('!'))?;
    let reason = line.rsplit('\t').next()?;
    Some(
        reason.trim_start_matches("[remote rejected]").trim_start_matches("[rejected]").trim().trim_matches(['(', ')']),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_rejected_push_is_parsed() {
        let stale = "To ssh://h/x\n!\tabc:refs/heads/a\t[rejected] (stale info)\nDone\n";
        assert_eq!(rejection(stale), Some("stale info"));
        let hook = "!\tabc:refs/heads/a\t[remote rejected] (pre-receive hook declined)\n";
        assert_eq!(rejection(hook), Some("pre-receive hook declined"));
        assert_eq!(rejection("=\tabc:refs/heads/a\t[up to date]\n"), None);
    }
}
