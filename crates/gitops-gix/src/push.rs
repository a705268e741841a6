//! A push client over gix's transport, because gix has none: smart HTTP, or directly into a repository on this machine.

use std::io::Write as _;

use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::{Transport, connect};
use gix::protocol::transport::client::{MessageKind, TransportWithoutIO, WriteMode};
use gix::protocol::transport::{Protocol, Service};
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;
use patchwright_domain::BranchName;

use crate::GitOptions;
use crate::address::Address;
use crate::clone::open_options;
use crate::error::{GixCause, internal, io_error, remote_error};
use crate::objects::{NewObject, new_objects, set_branch};
use crate::transport::http_options;

/// A branch to push.
#[derive(Debug)]
pub(crate) struct Push<'a> {
    pub(crate) branch: &'a BranchName,
    pub(crate) base: gix::ObjectId,
    pub(crate) commit: gix::ObjectId,
    /// The commit that the remote branch must be at; `None` if it must not exist.
    pub(crate) expected: Option<gix::ObjectId>,
}

/// Pushes over HTTP.
///
/// The lease is checked twice: here against the advertised references, and by the server, which compares the old id of the
/// command under its own lock. Objects are sent without deltas, because a job's commit has few files.
pub(crate) fn push_http(
    repo: &gix::Repository,
    options: &GitOptions,
    address: &Address,
    push: &Push<'_>,
    credential: Option<&GitCredential>,
) -> Result<(), GitError> {
    let Address::Http(url) = address else { unreachable!("the caller has matched the transport") };
    let failed = |error: gix::Error| remote_error(address, &error);
    // receive-pack does not support protocol version 2.
    let connect_options = connect::Options { version: Protocol::V1, ..connect::Options::default() };
    let mut transport = connect::connect(url.as_str(), connect_options).map_err(failed)?;
    transport.configure(&http_options(options, address, credential)?).map_err(failed)?;
    let handshake =
        gix::protocol::handshake(&mut transport, Service::ReceivePack, |_| Ok(None), Vec::new(), &mut Discard)
            .map_err(failed)?;
    let tip = remote_tip(handshake.refs.as_deref().unwrap_or_default(), push.branch);
    if tip == Some(push.commit) {
        return Ok(());
    }
    if tip != push.expected {
        return Err(GitError::LeaseLost { branch: push.branch.clone() });
    }

    let zero = gix::ObjectId::null(repo.object_hash());
    let mut command = format!(
        "{} {} {}\0report-status atomic agent=patchwright/{}",
        push.expected.unwrap_or(zero),
        push.commit,
        push.branch.full_ref(),
        env!("CARGO_PKG_VERSION")
    );
    if repo.object_hash() != gix::hash::Kind::Sha1 {
        command.push_str(" object-format=sha256");
    }
    let pack = create_pack(repo, &new_objects(repo, push.base, push.commit)?)?;
    let lines = send(&mut transport, address, command.as_bytes(), &pack)?;
    parse_report(&lines, push.branch, address)
}

fn remote_tip(refs: &[Ref], branch: &BranchName) -> Option<gix::ObjectId> {
    let name = branch.full_ref();
    refs.iter().find_map(|reference| match reference {
        Ref::Direct { full_ref_name, object } if *full_ref_name == name.as_str() => Some(*object),
        Ref::Symbolic { full_ref_name, object, .. } if *full_ref_name == name.as_str() => Some(*object),
        _ => None,
    })
}

fn send(
    transport: &mut (dyn Transport + Send),
    address: &Address,
    command: &[u8],
    pack: &[u8],
) -> Result<Vec<String>, GitError> {
    let failed = |error: std::io::Error| match refused_status(&error) {
        Some(401 | 403) => GitError::Unauthorized { url: address.redacted() },
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
    let mut lines = Vec::new();
    while let Some(line) = reader.readline() {
        let line = line.map_err(failed)?.map_err(|error| GitError::Unavailable {
            url: address.redacted(),
            detail: format!("invalid response to the push: {error}"),
        })?;
        if let Some(text) = line.as_text() {
            lines.push(String::from_utf8_lossy(text.as_bstr()).trim_end().to_owned());
        }
    }
    Ok(lines)
}

/// Returns the HTTP status that an error of the transport holds: gix reports it as an error of the stream, in its text only.
fn refused_status(error: &std::io::Error) -> Option<u16> {
    let text = format!("{error:?}");
    let (_, rest) = text.split_once("HTTP status ")?;
    rest.get(..3)?.parse().ok()
}

/// Parses the report-status lines: `unpack ok`, then `ok REF` or `ng REF REASON`.
fn parse_report(lines: &[String], branch: &BranchName, address: &Address) -> Result<(), GitError> {
    let refused = |reason: &str| GitError::PushRefused { branch: branch.clone(), reason: reason.to_owned() };
    let name = branch.full_ref();
    for line in lines {
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
pub(crate) fn push_local(repo: &gix::Repository, path: &std::path::Path, push: &Push<'_>) -> Result<(), GitError> {
    let failed = internal("writing into the local repository");
    let target = gix::open_opts(path, open_options()).map_err(&failed)?;
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
    for object in new_objects(repo, push.base, push.commit)? {
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

    #[test]
    fn a_refused_push_has_the_remotes_reason() {
        let branch = BranchName::parse("agent/fix-1").unwrap();
        let address = Address::parse("https://host/x.git").unwrap();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let parse = |text: &str| parse_report(&lines(text), &branch, &address);
        assert!(parse("unpack ok\nok refs/heads/agent/fix-1").is_ok());
        let declined = parse("unpack ok\nng refs/heads/agent/fix-1 pre-receive hook declined").unwrap_err();
        assert_eq!(declined.to_string(), "the remote refused the push of `agent/fix-1`: pre-receive hook declined");
        assert!(matches!(parse("unpack index-pack abnormal exit"), Err(GitError::PushRefused { .. })));
        assert!(matches!(parse("unpack ok"), Err(GitError::Unavailable { .. })));
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
