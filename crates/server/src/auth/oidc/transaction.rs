//! One login on its way: what the person's browser keeps until it comes back from the provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use crate::auth::secret;
use crate::route::answer::is_path_of_ours;

/// How long a person may take at the provider.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// A login on its way. It is kept in a cookie of the browser that began it, signed by us: so it needs no table, is the
/// same on every server, and cannot be finished in another browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Comes back with the code.
    pub(crate) state: String,
    /// Comes back inside the ID token.
    pub(crate) nonce: String,
    /// Shows that the code is ours (PKCE).
    pub(crate) verifier: String,
    /// Where the person goes then: a path of ours.
    pub(crate) return_to: String,
    /// Until when, in seconds.
    until: i64,
}

impl Transaction {
    /// A fresh one. A return address that is no path of ours becomes the first page.
    pub(crate) fn new(return_to: &str, now: Timestamp) -> Self {
        Self {
            state: secret::fresh(""),
            nonce: secret::fresh(""),
            verifier: secret::fresh(""),
            return_to: if is_path_of_ours(return_to) { return_to.to_owned() } else { "/".to_owned() },
            until: now.saturating_add(PATIENCE).unwrap_or(now).as_second(),
        }
    }

    /// What the provider is told of the verifier (RFC 7636).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()))
    }

    /// As a cookie's value.
    pub(crate) fn seal(&self, master: &Secret) -> String {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("it is only text"));
        let tag = hmac::sign(&key(master), body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Reads a cookie's value; `None` for what we did not write, and for what has taken too long.
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
    fn a_login_is_finished_by_the_browser_that_began_it_and_in_time() {
        let master = Secret::new("master");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let begun = Transaction::new("/issues?x=1", now);
        let cookie = begun.seal(&master);
        assert_eq!(Transaction::open(&cookie, &master, now), Some(begun.clone()));
        assert_eq!(Transaction::open(&cookie, &Secret::new("other"), now), None);
        assert_eq!(Transaction::open(&cookie, &master, now + PATIENCE), None);
        assert_eq!(Transaction::open(&cookie.replacen('e', "f", 1), &master, now), None);
        assert_ne!(begun.state, Transaction::new("/", now).state);
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a b"] {
            assert_eq!(Transaction::new(elsewhere, now).return_to, "/", "{elsewhere:?}");
        }
    }
}
