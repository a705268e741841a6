//! A push client over gix's transport, because gix has none: smart HTTP, or directly into a repository on this machine.

use std::io::Write as _;

use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::client::{MessageKind, WriteMode};
use gix::protocol::transport::{Protocol, Service};
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{GitError, PushRefusal};
use patchwright_domain::BranchName;

use crate::GitOptions;
use crate::address::Address;
use crate::error::{GixCause, MAX_DETAIL_CHARS, internal, io_error, remote_error};
use crate::local::{head_branch, open};
use crate::objects::{NewObject, new_objects, set_branch};
use crate::remote::{Remote, find_tip};

/// The longest answer to a push that is read, in bytes.
const MAX_REPORT_BYTES: usize = 1 << 20;

/// A branch to push.
#[derive(Debug)]
pub(crate) struct Push<'a> {
    pub(crate) branch: &'a BranchName,
    /// A commit that the remote has; `None` if that is not known.
    pub(crate) base: Option<gix::ObjectId>,
    pub(crate) commit: gix::ObjectId,
    /// The commit that the remote branch must be at; `None` if it must not exist.
    pub(crate) expected: Option<gix::ObjectId>,
}

impl Push<'_> {
    /// Pushes to a remote of any kind, if the rules allow the branch.
    pub(crate) fn send(
        &self,
        repo: &gix::Repository,
        options: &GitOptions,
        address: &Address,
        credential: Option<&GitCredential>,
    ) -> Result<(), GitError> {
        if !self.branch.as_str().starts_with(&options.push_prefix) {
            let rule = format!("only branches that begin with `{}` are pushed", options.push_prefix);
            return Err(GitError::BranchRefused { branch: self.branch.clone(), rule });
        }
        let remote = Remote { options, address, credential };
        // A server that does not tell its default branch protects it by itself.
        if !matches!(address, Address::Local(_)) && remote.default_branch().is_ok_and(|default| default == *self.branch)
        {
            return Err(self.default_branch());
        }
        match address {
            Address::Http(url) => push_http(repo, &remote, url.as_str(), self),
            Address::Local(path) => push_local(repo, path, address, self),
            Address::Ssh(url) => crate::command::push(options, url, repo, self),
        }
    }

    /// Returns the objects that a remote with these references does not have.
    fn new_objects(&self, repo: &gix::Repository, refs: &[Ref]) -> Result<Vec<NewObject>, GitError> {
        /// So many references are compared: the newest commits of a remote are seldom all needed.
        const MAX_REFERENCES: usize = 200;
        let tips = refs.iter().filter_map(|reference| reference.unpack().1.map(ToOwned::to_owned));
        let tips = tips.take(MAX_REFERENCES).filter(|id| repo.find_commit(*id).is_ok());
        let known: Vec<gix::ObjectId> = self.base.into_iter().chain(self.expected).chain(tips).collect();
        let known: Vec<gix::ObjectId> = known.into_iter().filter(|id| repo.has_object(*id)).collect();
        new_objects(repo, &known, self.commit)
    }

    fn default_branch(&self) -> GitError {
        GitError::BranchRefused {
            branch: self.branch.clone(),
            rule: "it is the default branch of the repository".to_owned(),
        }
    }
}

/// Pushes over HTTP.
///
/// The lease is checked twice: here against the advertised references, and by the server, which compares the old id of the
/// command under its own lock. Objects are sent without deltas, because a job's commit has few files.
fn push_http(repo: &gix::Repository, remote: &Remote<'_>, url: &str, push: &Push<'_>) -> Result<(), GitError> {
    let address = remote.address;
    let failed = |error: gix::Error| match remote_error(address, &error) {
        // Reading was possible before.
        GitError::Unauthorized { url } if format!("{error:?}").contains("HTTP status 403") => {
            GitError::PushForbidden { url, detail: "HTTP status 403".to_owned() }
        }
        other => other,
    };
    // receive-pack does not support protocol version 2.
    let (mut transport, handshake) = remote.open_transport(url, Service::ReceivePack, Protocol::V1, failed)?;
    let refs = handshake.refs.as_deref().unwrap_or_default();
    let tip = find_tip(refs, push.branch);
    if tip == Some(push.commit) {
        return Ok(());
    }
    if tip != push.expected {
        return Err(GitError::LeaseLost { branch: push.branch.clone() });
    }

    let zero = gix::ObjectId::null(repo.object_hash());
    // Only with a side band the server passes on what its hooks say.
    let has_band = handshake.capabilities.contains("side-band-64k");
    let mut command = format!(
        "{} {} {}\0report-status{} atomic agent=patchwright/{}",
        push.expected.unwrap_or(zero),
        push.commit,
        push.branch.full_ref(),
        if has_band { " side-band-64k" } else { "" },
        env!("CARGO_PKG_VERSION")
    );
    if repo.object_hash() != gix::hash::Kind::Sha1 {
        command.push_str(" object-format=sha256");
    }
    let pack = create_pack(repo, &push.new_objects(repo, refs)?)?;
    let output = send(&mut transport, address, push.branch, command.as_bytes(), &pack)?;
    let (lines, words) = if has_band { split_bands(&output) } else { (output, Vec::new()) };
    parse_report(&lines, &words, push.branch, address)
}

fn send(
    transport: &mut (dyn Transport + Send),
    address: &Address,
    branch: &BranchName,
    command: &[u8],
    pack: &[u8],
) -> Result<Vec<Vec<u8>>, GitError> {
    let failed = |error: std::io::Error| match refused_status(&error) {
        Some(401) => GitError::Unauthorized { url: address.redacted() },
        Some(403) => GitError::PushForbidden { url: address.redacted(), detail: "HTTP status 403".to_owned() },
        Some(413) => GitError::PushRefused {
            branch: branch.clone(),
            refusal: PushRefusal::Quota,
            reason: "the server does not take pushes of this size (HTTP status 413)".to_owned(),
        },
        Some(404) => GitError::RepositoryNotFound { url: address.redacted() },
        Some(status) => GitError::Unavailable { url: address.redacted(), detail: format!("HTTP status {status}") },
        None => GitError::Unavailable { url: address.redacted(), detail: format!("the push was cut off: {error}") },
    };
    let mut writer = transport
        .request(WriteMode::Binary, MessageKind::Flush, false)
        .map_err(|error| remote_error(address, &gix::Error::from_error(error)))?;
    writer.write_all(command).map_err(failed)?;
    writer.write_message(MessageKind::Flush).map_err(failed)?;
    let (mut raw, mut reader) = writer.into_parts();
    raw.write_all(pack).map_err(failed)?;
    raw.flush().map_err(failed)?;
    // The request is sent when its writer is dropped; reading before that would block forever.
    drop(raw);
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(line) = reader.readline() {
        let line = line.map_err(failed)?.map_err(|error| GitError::Unavailable {
            url: address.redacted(),
            detail: format!("invalid response to the push: {error}"),
        })?;
        bytes += line.as_slice().map_or(0, <[u8]>::len);
        if bytes > MAX_REPORT_BYTES {
            let detail = "its answer to the push does not end".to_owned();
            return Err(GitError::Unavailable { url: address.redacted(), detail });
        }
        lines.extend(line.as_slice().map(<[u8]>::to_vec));
    }
    Ok(lines)
}

/// Returns the HTTP status that an error of the transport holds: gix reports it as an error of the stream, in its text only.
fn refused_status(error: &std::io::Error) -> Option<u16> {
    let text = format!("{error:?}");
    let (_, rest) = text.split_once("HTTP status ")?;
    rest.get(..3)?.parse().ok()
}

/// Splits what a server sends on its bands: the report, which is lines again, and the words for people.
///
/// Each line begins with the number of its band: 1 for the report, 2 and 3 for words (gitprotocol-pack).
fn split_bands(output: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut report, mut words) = (Vec::new(), String::new());
    for line in output {
        match line.split_first() {
            Some((1, bytes)) => report.extend_from_slice(bytes),
            Some((2 | 3, bytes)) => words.push_str(&String::from_utf8_lossy(bytes)),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    let mut rest = report.as_slice();
    while let Some((length, body)) = rest.split_first_chunk::<4>() {
        let length = std::str::from_utf8(length).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(line) = length.and_then(|length| body.get(..length.checked_sub(4)?)) else { break };
        lines.push(line.to_vec());
        rest = &body[line.len()..];
    }
    let words = words.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    (lines, words)
}

/// Parses the report-status lines: `unpack ok`, then `ok REF` or `ng REF REASON`.
fn parse_report(lines: &[Vec<u8>], words: &[String], branch: &BranchName, address: &Address) -> Result<(), GitError> {
    let refused = |reason: &str| classify_refusal(branch, reason, &words.join("\n"));
    let name = branch.full_ref();
    for line in lines {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if let Some(result) = line.strip_prefix("unpack ") {
            if result != "ok" {
                return Err(refused(&format!("it could not unpack the objects: {result}")));
            }
        } else if let Some(rest) = line.strip_prefix("ng ") {
            let reason = rest.strip_prefix(name.as_str()).unwrap_or(rest).trim();
            return Err(refused(if reason.is_empty() { "it gave no reason" } else { reason }));
        } else if line.strip_prefix("ok ").is_some_and(|rest| rest == name) {
            return Ok(());
        }
    }
    Err(GitError::Unavailable { url: address.redacted(), detail: "it did not report the push's result".to_owned() })
}

/// Tells from the reason and the words of a server which kind of rule refused a push. The words are those of GitHub, GitLab,
/// Gitea, GitCode and git itself.
pub(crate) fn classify_refusal(branch: &BranchName, reason: &str, words: &str) -> GitError {
    let all = format!("{reason}\n{words}").to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|part| all.contains(part));
    // The reference may have moved between the advertisement and the push.
    if has(&["atomic transaction failed", "failed to update ref", "cannot lock ref", "reference already exists"])
        && !has(&["hook"])
    {
        return GitError::LeaseLost { branch: branch.clone() };
    }
    let refusal = if has(&["secret", "push protection", "gh009"]) {
        // GitHub has one number for this and for its rules on branches.
        PushRefusal::Hook
    } else if has(&["protected branch", "protected ref", "gh006", "gh013", "branch is protected"]) {
        PushRefusal::ProtectedBranch
    } else if has(&["quota", "gh001", "file size", "exceeds", "too large", "larger than", "no space left", "disk full"])
    {
        PushRefusal::Quota
    } else if has(&["hook", "gh007"]) {
        PushRefusal::Hook
    } else {
        PushRefusal::Other
    };
    // What a hook says is worth more than that it declined.
    let message = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let reason = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    let reason = reason.chars().take(MAX_DETAIL_CHARS).collect();
    GitError::PushRefused { branch: branch.clone(), refusal, reason }
}

/// Creates a pack of undeltified objects.
fn create_pack(repo: &gix::Repository, objects: &[NewObject]) -> Result<Vec<u8>, GitError> {
    let action = "packing the new objects";
    let count = u32::try_from(objects.len())
        .map_err(|_| GitError::Internal { action: action.to_owned(), source: "too many objects".into() })?;
    let mut pack = Vec::new();
    pack.extend_from_slice(b"PACK");
    pack.extend_from_slice(&2_u32.to_be_bytes());
    pack.extend_from_slice(&count.to_be_bytes());
    for object in objects {
        write_header(&mut pack, object.kind, object.data.len());
        let mut deflate = gix::zlib::stream::deflate::Write::new(&mut pack, gix::zlib::Compression::DEFAULT);
        deflate.write_all(&object.data).map_err(io_error(action))?;
        deflate.flush().map_err(io_error(action))?;
    }
    let mut hasher = gix::hash::hasher(repo.object_hash());
    hasher.update(&pack);
    let trailer = hasher.try_finalize().map_err(|error| GitError::Internal {
        action: action.to_owned(),
        source: Box::new(GixCause(error.to_string())),
    })?;
    pack.extend_from_slice(trailer.as_slice());
    Ok(pack)
}

/// Writes type and size of an object: three bits of type and four of size, then seven bits of size a byte, each but the last
/// with its top bit set (gitformat-pack).
fn write_header(pack: &mut Vec<u8>, kind: gix::objs::Kind, size: usize) {
    let kind = match kind {
        gix::objs::Kind::Commit => 1_u8,
        gix::objs::Kind::Tree => 2,
        gix::objs::Kind::Blob => 3,
        gix::objs::Kind::Tag => 4,
    };
    let low = |size: usize, mask: usize| u8::try_from(size & mask).expect("masked to fewer than eight bits");
    let mut byte = (kind << 4) | low(size, 0x0f);
    let mut rest = size >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = low(rest, 0x7f);
        rest >>= 7;
    }
    pack.push(byte);
}

/// Pushes into a repository on this machine: writes the objects and moves the branch if it is at the expected commit.
fn push_local(
    repo: &gix::Repository,
    path: &std::path::Path,
    address: &Address,
    push: &Push<'_>,
) -> Result<(), GitError> {
    let failed = internal("writing into the local repository");
    let target = open(path, address)?;
    if head_branch(&target).as_ref() == Some(push.branch) {
        return Err(push.default_branch());
    }
    let name = push.branch.full_ref();
    let tip = match target.try_find_reference(name.as_str()).map_err(&failed)? {
        Some(mut reference) => Some(reference.peel_to_id().map_err(&failed)?.detach()),
        None => None,
    };
    if tip == Some(push.commit) {
        return Ok(());
    }
    if tip != push.expected {
        return Err(GitError::LeaseLost { branch: push.branch.clone() });
    }
    let known: Vec<gix::ObjectId> = push.base.into_iter().chain(push.expected).collect();
    for object in new_objects(repo, &known, push.commit)? {
        gix::objs::Write::write_buf(&target.objects, object.kind, &object.data)
            .map_err(|error| failed(gix::Error::from_error(error)))?;
    }
    let expected = match push.expected {
        Some(id) => PreviousValue::MustExistAndMatch(Target::Object(id)),
        None => PreviousValue::MustNotExist,
    };
    set_branch(&target, push.branch, push.commit, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch() -> BranchName {
        BranchName::parse("agent/fix-1").unwrap()
    }

    #[test]
    fn a_refused_push_has_the_remotes_reason() {
        let address = Address::parse("https://host/x.git").unwrap();
        let lines = |text: &str| text.lines().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
        let parse = |text: &str| parse_report(&lines(text), &[], &branch(), &address);
        assert!(parse("unpack ok\nok refs/heads/agent/fix-1").is_ok());
        let declined = parse("unpack ok\nng refs/heads/agent/fix-1 pre-receive hook declined").unwrap_err();
        assert_eq!(declined.to_string(), "the remote refused the push of `agent/fix-1`: pre-receive hook declined");
        assert!(matches!(parse("unpack index-pack abnormal exit"), Err(GitError::PushRefused { .. })));
        assert!(matches!(parse("unpack ok"), Err(GitError::Unavailable { .. })));
        let moved = parse("unpack ok\nng refs/heads/agent/fix-1 atomic transaction failed");
        assert!(matches!(moved, Err(GitError::LeaseLost { .. })), "{moved:?}");
    }

    #[test]
    fn what_forges_say_is_told_apart() {
        let kind = |reason: &str, words: &str| match classify_refusal(&branch(), reason, words) {
            GitError::PushRefused { refusal, .. } => refusal,
            other => panic!("{other}"),
        };
        let github = "error: GH006: Protected branch update failed for refs/heads/agent/x.\nerror: Changes must be made through a pull request.";
        assert_eq!(kind("protected branch hook declined", github), PushRefusal::ProtectedBranch);
        let gitlab = "GitLab: You are not allowed to push code to protected branches on this project.";
        assert_eq!(kind("pre-receive hook declined", gitlab), PushRefusal::ProtectedBranch);
        let big = "error: GH001: Large files detected.\nerror: File a.bin is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB";
        assert_eq!(kind("pre-receive hook declined", big), PushRefusal::Quota);
        assert_eq!(kind("pre-receive hook declined", "No issue in the message"), PushRefusal::Hook);
        assert_eq!(kind("deny updating a hidden ref", ""), PushRefusal::Other);
        let shown = classify_refusal(&branch(), "pre-receive hook declined", "No issue in the message\n").to_string();
        assert!(shown.ends_with("pre-receive hook declined: No issue in the message"), "{shown}");
    }

    #[test]
    fn the_bands_of_an_answer_are_split() {
        let report = b"000eunpack ok\n001eok refs/heads/agent/fix-1\n0000";
        let (first, second) = report.split_at(20);
        let band = |number: u8, bytes: &[u8]| [&[number], bytes].concat();
        let output = [band(2, b"hel"), band(1, first), band(2, b"lo\nyou\n"), band(1, second)];
        let (lines, words) = split_bands(&output);
        assert_eq!(words, ["hello", "you"]);
        let lines: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        assert_eq!(lines, ["unpack ok\n", "ok refs/heads/agent/fix-1\n"]);
    }

    #[test]
    fn object_headers_follow_the_pack_format() {
        let header = |size| {
            let mut out = Vec::new();
            write_header(&mut out, gix::objs::Kind::Blob, size);
            out
        };
        assert_eq!(header(5), [0x35]);
        assert_eq!(header(16), [0xb0, 0x01]);
        assert_eq!(header(0x1234), [0xb4, 0xa3, 0x02]);
    }
}
