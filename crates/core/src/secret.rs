//! Secrets that cannot be printed.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::redactor::REDACTED;

/// A secret in memory. `Debug`, `Display` and `Serialize` show `[redacted]`; the memory is wiped when the last clone is
/// dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(secret.into())))
    }

    /// Returns the secret itself, for the one call that needs it. It must not reach a log, a URL, a command line or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether `candidate` is this secret. The time does not depend on where they differ.
    pub fn matches(&self, candidate: &str) -> bool {
        // Compared through MACs: ring has a constant-time comparison for those only.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"comparison");
        let expected = ring::hmac::sign(&key, self.expose().as_bytes());
        ring::hmac::verify(&key, candidate.as_bytes(), expected.as_ref()).is_ok()
    }

    /// Returns whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_or_serialized() {
        let secret = Secret::new("hunter2hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
    }

    #[test]
    fn a_secret_matches_only_the_same_text() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter") && !secret.matches("hunter22") && !secret.matches(""));
    }
}
