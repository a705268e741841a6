//! The signatures of the server's requests to a node.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_domain::NodeId;
use ring::hmac;

/// The header with the time of sending, in seconds.
pub(crate) const TIMESTAMP_HEADER: &str = "x-patchwright-timestamp";
/// The header with the signature.
pub(crate) const SIGNATURE_HEADER: &str = "x-patchwright-signature";
/// The largest accepted difference between the clocks.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// The key that the server and a node share. The server does not store it: it is derived from the master key.
#[derive(Clone)]
pub struct DispatchKey(hmac::Key);

impl DispatchKey {
    /// Derives a node's key from the server's master key.
    pub fn of_node(master: &Secret, node: NodeId) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &derive(master, node)))
    }

    /// Returns a node's key as hexadecimal digits, for the response to its registration.
    pub fn text_of_node(master: &Secret, node: NodeId) -> String {
        hex(&derive(master, node))
    }

    /// Parses the result of [`Self::text_of_node`]; returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect::<Option<_>>()?;
        (bytes.len() == 32).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Returns the signature of a body that is sent to a path at a time.
    pub fn sign(&self, at: Timestamp, path: &str, body: &[u8]) -> String {
        format!("v1={}", hex(hmac::sign(&self.0, &signed(at.as_second(), path, body)).as_ref()))
    }

    fn verify(&self, at: i64, path: &str, body: &[u8], signature: &str) -> bool {
        let Some(text) = signature.strip_prefix("v1=").filter(|text| text.len() == 64) else { return false };
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let Some(tag) = (0..64).step_by(2).map(byte).collect::<Option<Vec<u8>>>() else { return false };
        hmac::verify(&self.0, &signed(at, path, body), &tag).is_ok()
    }
}

impl std::fmt::Debug for DispatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DispatchKey([redacted])")
    }
}

fn derive(master: &Secret, node: NodeId) -> Vec<u8> {
    let master = hmac::Key::new(hmac::HMAC_SHA256, master.expose().as_bytes());
    hmac::sign(&master, format!("patchwright dispatch to node {node}").as_bytes()).as_ref().to_vec()
}

fn signed(at: i64, path: &str, body: &[u8]) -> Vec<u8> {
    [format!("{at}.{path}.").as_bytes(), body].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Accepts requests that the server signed within the last minutes, each only once.
#[derive(Debug)]
pub(crate) struct SignatureVerifier {
    key: DispatchKey,
    /// The signatures of the last minutes, with their times.
    seen: Mutex<HashMap<String, i64>>,
}

impl SignatureVerifier {
    pub(crate) fn new(key: DispatchKey) -> Self {
        Self { key, seen: Mutex::default() }
    }

    /// # Errors
    /// The reason why a request is rejected.
    pub(crate) fn verify_request(
        &self,
        headers: (Option<&str>, Option<&str>),
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let (Some(at), Some(signature)) = headers else { return Err("the request is not signed") };
        let at: i64 = at.parse().map_err(|_| "the request's time is no number of seconds")?;
        if now.as_second().abs_diff(at) > WINDOW.unsigned_abs().as_secs() {
            return Err("the request's time is more than five minutes off; set the clocks right");
        }
        if !self.key.verify(at, path, body, signature) {
            return Err("the request's signature is wrong");
        }
        let mut seen = self.seen.lock().expect("no holder of this lock can panic");
        let old = now.as_second() - 2 * WINDOW.as_secs();
        seen.retain(|_, at| *at > old);
        if seen.insert(signature.to_owned(), at).is_some() {
            return Err("the request was sent once already");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_sent_lately_is_let_in_and_only_once() {
        let master = Secret::new("master");
        let node: NodeId = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let other: NodeId = "00000000-0000-0000-0000-000000000002".parse().unwrap();
        let key = DispatchKey::of_node(&master, node);
        let verifier = SignatureVerifier::new(DispatchKey::parse(&DispatchKey::text_of_node(&master, node)).unwrap());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let signature = key.sign(now, "/process-issue", b"{}");
        let admit = |at: &str, signature: &str, path: &str, body: &[u8], now| {
            verifier.verify_request((Some(at), Some(signature)), path, body, now)
        };
        let at = "1800000000";
        assert!(verifier.verify_request((None, None), "/process-issue", b"{}", now).is_err());
        assert!(admit(at, &signature, "/process-issue", b"{ }", now).unwrap_err().contains("wrong"));
        assert!(admit(at, &signature, "/tasks/x/cancel", b"{}", now).unwrap_err().contains("wrong"));
        assert!(admit("1800000001", &signature, "/process-issue", b"{}", now).unwrap_err().contains("wrong"));
        let theirs = DispatchKey::of_node(&master, other).sign(now, "/process-issue", b"{}");
        assert!(admit(at, &theirs, "/process-issue", b"{}", now).unwrap_err().contains("wrong"));
        let late = now + SignedDuration::from_secs(301);
        assert!(admit(at, &signature, "/process-issue", b"{}", late).unwrap_err().contains("five minutes"));
        assert_eq!(admit(at, &signature, "/process-issue", b"{}", now), Ok(()));
        assert!(admit(at, &signature, "/process-issue", b"{}", now).unwrap_err().contains("once already"));
        for broken in ["", "v1=", "v1=zz", &"x".repeat(67)] {
            assert!(admit(at, broken, "/process-issue", b"{}", now).is_err());
        }
        assert!(DispatchKey::parse("zz").is_none() && DispatchKey::parse("é".repeat(32).as_str()).is_none());
    }
}
