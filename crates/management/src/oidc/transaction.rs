//! A login in progress: what the browser stores until the user returns from the provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use crate::secrets;
use crate::sessions::is_local_path;

/// How long a user may take at the provider.
pub(crate) const LOGIN_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

/// A login in progress. It is stored in a signed cookie of the browser that started it: so it needs no table, works on
/// every replica, and cannot be finished in another browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Returned with the code.
    pub(crate) state: String,
    /// Returned in the ID token.
    pub(crate) nonce: String,
    /// Proves that the code was issued for this client (PKCE).
    pub(crate) verifier: String,
    /// The path of this server to return to.
    pub(crate) return_to: String,
    /// When it expires, in seconds.
    until: i64,
}

impl Transaction {
    /// Starts a login. A return address outside of this server becomes the first page.
    pub(crate) fn new(return_to: &str, now: Timestamp) -> Self {
        Self {
            state: secrets::generate_secret(""),
            nonce: secrets::generate_secret(""),
            verifier: secrets::generate_secret(""),
            return_to: if is_local_path(return_to) { return_to.to_owned() } else { "/".to_owned() },
            until: now.saturating_add(LOGIN_TIMEOUT).unwrap_or(now).as_second(),
        }
    }

    /// Returns the code challenge (RFC 7636).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()))
    }

    /// Returns the signed value of the cookie.
    pub(crate) fn seal(&self, master: &Secret) -> String {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("it is only text"));
        let tag = hmac::sign(&key(master), body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Reads the value of the cookie; `None` for a wrong signature, and after the time limit.
    pub(crate) fn open(value: &str, master: &Secret, now: Timestamp) -> Option<Self> {
        let (body, tag) = value.split_once('.')?;
        hmac::verify(&key(master), body.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let found: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (found.until > now.as_second()).then_some(found)
    }
}

fn key(master: &Secret) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, master.expose().as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"patchwright login transactions v1").as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_finished_by_the_browser_that_started_it_and_in_time() {
        let master = Secret::new("master");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let started = Transaction::new("/issues?x=1", now);
        let cookie = started.seal(&master);
        assert_eq!(Transaction::open(&cookie, &master, now), Some(started.clone()));
        assert_eq!(Transaction::open(&cookie, &Secret::new("other"), now), None);
        assert_eq!(Transaction::open(&cookie, &master, now + LOGIN_TIMEOUT), None);
        assert_eq!(Transaction::open(&cookie.replacen('e', "f", 1), &master, now), None);
        assert_ne!(started.state, Transaction::new("/", now).state);
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a b"] {
            assert_eq!(Transaction::new(elsewhere, now).return_to, "/", "{elsewhere:?}");
        }
    }
}
