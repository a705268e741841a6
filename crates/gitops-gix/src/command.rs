//! The git program, for `ssh://` remotes: gix cannot push to them, and git takes the host keys, agents and settings of ssh.
//!
//! All commands are built here, with a fixed locale and without prompts, hooks and the user's git configuration. Tokens are not
//! used with ssh.

use std::process::{Command, Stdio};

use patchwright_core::git::GitError;
use patchwright_domain::BranchName;
use url::Url;

use crate::address::Address;
use crate::child::is_out_of_memory;
use crate::error::{MAX_DETAIL_CHARS, io_error};
use crate::local::SHA_256;
use crate::options::{GitOptions, SshOptions};
use crate::push::{Push, classify_refusal};
use crate::remote::{FetchRequest, Remote, Tips, refspec};

fn git_command(options: &GitOptions) -> Command {
    let mut command = options.command(&options.git_program);
    // Nothing of a repository around the present folder counts.
    command
        .current_dir("/")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "protocol.allow=never"])
        .args(["-c", "protocol.ssh.allow=always", "-c", "submodule.recurse=false"])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_SSH_COMMAND", ssh_command(&options.ssh))
        .stdin(Stdio::null());
    command
}

/// Returns the command line of ssh, which git gives to a shell.
fn ssh_command(ssh: &SshOptions) -> String {
    let quote = |path: &std::path::Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let mut line =
        "ssh -oBatchMode=yes -oForwardAgent=no -oClearAllForwardings=yes -oConnectTimeout=20 -oServerAliveInterval=15"
            .to_owned();
    if let Some(key) = &ssh.key {
        line.push_str(&format!(" -oIdentitiesOnly=yes -oIdentityAgent=none -i {}", quote(key)));
    }
    if let Some(file) = &ssh.known_hosts {
        line.push_str(" -oStrictHostKeyChecking=yes -oGlobalKnownHostsFile=/dev/null");
        line.push_str(&format!(" -oUserKnownHostsFile={}", quote(file)));
    }
    line
}

fn run(remote: &Remote<'_>, command: &mut Command, action: &str) -> Result<String, GitError> {
    let output = command.output().map_err(io_error(format!("{action} with the git program")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (url, limits) = (remote.address.redacted(), &remote.options.limits);
    let errors = String::from_utf8_lossy(&output.stderr);
    // git reports the signal of the program that it started.
    if ["signal 25", "File size limit", "File too large"].iter().any(|part| errors.contains(part)) {
        return Err(GitError::TooLarge { url, limit: limits.file_limit() });
    }
    if is_out_of_memory(&errors) {
        return Err(GitError::TooLarge { url, limit: limits.memory_limit() });
    }
    Err(classify(&errors, &url))
}

/// Converts what git and ssh say to an error.
fn classify(message: &str, url: &str) -> GitError {
    let url = url.to_owned();
    let detail: String = message.trim().chars().take(MAX_DETAIL_CHARS).collect();
    if message.contains("Host key verification failed") || message.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        GitError::AddressRefused { url, reason: "the key of the host is not in the file of known hosts".to_owned() }
    } else if message.contains("Permission denied") {
        GitError::Unauthorized { url }
    } else if message.contains("does not appear to be a git repository") || message.contains("not found") {
        GitError::RepositoryNotFound { url }
    } else {
        GitError::Unavailable { url, detail }
    }
}

/// Returns the branch that the remote's HEAD points to.
pub(crate) fn head(remote: &Remote<'_>, url: &Url) -> Result<Option<BranchName>, GitError> {
    let mut command = git_command(remote.options);
    command.args(["ls-remote", "--symref", "--"]).arg(url.as_str()).arg("HEAD");
    let listed = run(remote, &mut command, "listing the branches")?;
    let target = |line: &str| line.strip_prefix("ref: refs/heads/")?.split('\t').next().map(str::to_owned);
    Ok(listed.lines().find_map(target).and_then(|name| BranchName::parse(&name).ok()))
}

/// Fetches branches into a repository, if their tips are not known.
pub(crate) fn fetch(
    remote: &Remote<'_>,
    url: &Url,
    repo: &gix::Repository,
    fetch: &FetchRequest<'_>,
) -> Result<Tips, GitError> {
    let mut list = git_command(remote.options);
    list.args(["ls-remote", "--heads", "--"]).arg(url.as_str());
    let listed = run(remote, &mut list, "listing the branches")?;
    let tips: Result<Tips, GitError> = fetch
        .branches
        .iter()
        .map(|branch| {
            let name = branch.full_ref();
            let line = listed.lines().find_map(|line| line.split_once('\t').filter(|(_, found)| *found == name));
            if line.is_some_and(|(id, _)| id.len() > gix::hash::Kind::Sha1.len_in_hex()) {
                let url = remote.address.redacted();
                return Err(GitError::FormatUnsupported { url, format: SHA_256.to_owned() });
            }
            let tip = line.and_then(|(id, _)| gix::ObjectId::from_hex(id.as_bytes()).ok());
            tip.ok_or_else(|| if listed.trim().is_empty() { remote.empty() } else { remote.no_branch(branch) })
        })
        .collect();
    let tips = tips?;
    if (fetch.are_known)(&tips) {
        return Ok(tips);
    }
    let mut command = git_command(remote.options);
    command.arg("--git-dir").arg(repo.git_dir()).args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
    if let Some(depth) = fetch.depth {
        command.arg(format!("--depth={depth}"));
    }
    command.arg("--").arg(url.as_str()).args(fetch.branches.iter().map(refspec));
    run(remote, &mut command, "fetching")?;
    Ok(tips)
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
    if output.status.success() {
        return Ok(());
    }
    let (report, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let words: Vec<&str> = errors.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim_end).collect();
    Err(match rejection(&report) {
        Some(reason) if reason.contains("stale info") => GitError::LeaseLost { branch: push.branch.clone() },
        Some(reason) => classify_refusal(push.branch, reason, &words.join("\n")),
        None => match classify(&errors, &Address::Ssh(url.clone()).redacted()) {
            GitError::Unavailable { url, detail } if detail.contains("denied") => {
                GitError::PushForbidden { url, detail }
            }
            other => other,
        },
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

    #[test]
    fn a_path_in_the_command_line_of_ssh_is_one_word() {
        let ssh = SshOptions { key: Some("/keys/it's mine".into()), known_hosts: Some("/etc/hosts of ours".into()) };
        let line = ssh_command(&ssh);
        assert!(line.contains(r"-i '/keys/it'\''s mine'") && line.contains("='/etc/hosts of ours'"), "{line}");
        assert!(!ssh_command(&SshOptions::default()).contains("KnownHosts"), "the user's own file is used");
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let kind = |message: &str| classify(message, "ssh://h/x");
        assert!(matches!(kind("Host key verification failed.\n"), GitError::AddressRefused { .. }));
        assert!(matches!(kind("git@h: Permission denied (publickey)."), GitError::Unauthorized { .. }));
        assert!(matches!(
            kind("fatal: '/x' does not appear to be a git repository"),
            GitError::RepositoryNotFound { .. }
        ));
        assert!(matches!(kind("ssh: connect to host h port 22: Connection refused"), GitError::Unavailable { .. }));
    }
}
