//! HMAC-SHA256 signatures of webhook deliveries.

use std::sync::{Arc, PoisonError, RwLock};

use crate::webhook::{Headers, SignatureError};

/// The secrets that deliveries may be signed with. Several are accepted at once, so that a secret can be rotated without
/// losing deliveries. Clones share them: [`SigningKeys::replace`] takes effect in all.
#[derive(Clone)]
pub struct SigningKeys(Arc<RwLock<Vec<ring::hmac::Key>>>);

impl SigningKeys {
    /// Creates keys from secrets. Empty secrets are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a crate::Secret>) -> Self {
        Self(Arc::new(RwLock::new(keys_of(secrets))))
    }

    /// Replaces the secrets, here and in all clones. Empty ones are left out.
    pub fn replace<'a>(&self, secrets: impl IntoIterator<Item = &'a crate::Secret>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys_of(secrets);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<ring::hmac::Key>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a header of the form `sha256=<64 hexadecimal digits>` against the raw body, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Missing`] without the header, [`SignatureError::Wrong`] if it is repeated, malformed, or made with
    /// none of the secrets.
    pub fn verify(&self, headers: &dyn Headers, header: &str, body: &[u8]) -> Result<(), SignatureError> {
        if headers.is_repeated(header) {
            return Err(SignatureError::Wrong);
        }
        let value = headers.get(header).ok_or(SignatureError::Missing)?;
        let digits = value.strip_prefix("sha256=").ok_or(SignatureError::Wrong)?;
        if self.matches(digits, body) { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    /// Returns whether these 64 hexadecimal digits are the HMAC of the raw body under one of the secrets. Compares in
    /// constant time.
    pub fn matches(&self, digits: &str, body: &[u8]) -> bool {
        let Some(tag) = decode_hex(digits) else { return false };
        self.read().iter().any(|key| ring::hmac::verify(key, body, &tag).is_ok())
    }

    /// Returns the header value for a body, made with the first secret; `None` without a secret. For outgoing webhooks and
    /// tests.
    pub fn sign(&self, body: &[u8]) -> Option<String> {
        let tag = ring::hmac::sign(self.read().first()?, body);
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("sha256={digits}"))
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKeys({})", self.read().len())
    }
}

fn keys_of<'a>(secrets: impl IntoIterator<Item = &'a crate::Secret>) -> Vec<ring::hmac::Key> {
    let key = |secret: &crate::Secret| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
    secrets.into_iter().filter(|secret| !secret.is_empty()).map(key).collect()
}

fn decode_hex(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    /// GitHub's test vector ("Validating webhook deliveries").
    const SECRET: &str = "It's a Secret to Everybody";
    const VALID: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verify(header: Option<&'static str>) -> Result<(), SignatureError> {
        let keys = SigningKeys::new([&Secret::new("an older one"), &Secret::new(SECRET)]);
        let headers: Vec<(&str, &str)> = header.map(|value| ("x", value)).into_iter().collect();
        keys.verify(&headers, "x", b"Hello, World!")
    }

    #[test]
    fn the_vendors_test_vector_is_accepted_with_any_of_the_secrets() {
        assert_eq!(verify(Some(VALID)), Ok(()));
        let upper = "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17";
        assert_eq!(verify(Some(upper)), Ok(()));
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        assert_eq!(keys.sign(b"Hello, World!").as_deref(), Some(VALID));
    }

    #[test]
    fn replaced_secrets_take_effect_in_every_clone() {
        let keys = SigningKeys::new([&Secret::new("an older one")]);
        let clone = keys.clone();
        keys.replace([&Secret::new(SECRET)]);
        assert_eq!(clone.verify(&[("x", VALID)], "x", b"Hello, World!"), Ok(()));
        assert!(!clone.matches(&"0".repeat(64), b"Hello, World!"));
        keys.replace([]);
        assert_eq!(clone.verify(&[("x", VALID)], "x", b"Hello, World!"), Err(SignatureError::Wrong));
    }

    #[test]
    fn malformed_repeated_and_foreign_signatures_are_refused() {
        assert_eq!(verify(None), Err(SignatureError::Missing));
        for bad in [
            "",
            "sha256=",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e177",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
            "sha256=zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ] {
            assert_eq!(verify(Some(bad)), Err(SignatureError::Wrong), "{bad:?}");
        }
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        let repeated = [("x", VALID), ("X", VALID)];
        assert_eq!(keys.verify(&repeated, "x", b"Hello, World!"), Err(SignatureError::Wrong));
        let none = SigningKeys::new([&Secret::new("")]);
        assert_eq!(none.verify(&[("x", VALID)], "x", b"Hello, World!"), Err(SignatureError::Wrong));
    }
}
