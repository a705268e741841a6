//! Encryption of secrets: AES-256-GCM with a key derived from the master key, bound to the place of the secret.

use patchwright_core::Secret;
use patchwright_core::store::StoreError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The keys that decrypt, and the one that encrypts.
#[derive(Clone)]
pub struct Sealer {
    /// The current key is first.
    keys: Vec<SealingKey>,
}

#[derive(Clone)]
struct SealingKey {
    id: String,
    key: LessSafeKey,
    prints: hmac::Key,
}

impl SealingKey {
    fn new(master: &Secret) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, master.expose().as_bytes());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, derive("patchwright sealing key v1").as_ref())
            .expect("a SHA-256 has the length of the key");
        let id = derive("patchwright sealing key id v1");
        Self {
            id: id.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            key: LessSafeKey::new(key),
            prints: hmac::Key::new(hmac::HMAC_SHA256, derive("patchwright fingerprints v1").as_ref()),
        }
    }
}

/// A sealed secret.
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    /// The nonce and the ciphertext.
    pub(crate) bytes: Vec<u8>,
}

impl Sealer {
    /// Creates a sealer that encrypts with `present` and also decrypts with the `old` keys.
    pub fn new(present: &Secret, old: &[Secret]) -> Self {
        Self { keys: std::iter::once(present).chain(old).map(SealingKey::new).collect() }
    }

    fn present(&self) -> &SealingKey {
        &self.keys[0]
    }

    /// The id of the current key.
    pub(crate) fn key_id(&self) -> &str {
        &self.present().id
    }

    /// Returns whether one of the keys has this id.
    pub(crate) fn knows(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.id == key_id)
    }

    /// Encrypts a secret for a place, such as `credential/sealed/0190…`.
    pub(crate) fn seal(&self, secret: &Secret, place: &str) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system has random numbers");
        let mut bytes = secret.expose().as_bytes().to_vec();
        let key = self.present();
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)
            .expect("a secret is far below the limit of the cipher");
        bytes.splice(..0, nonce);
        Sealed { key_id: key.id.clone(), bytes }
    }

    /// Decrypts a secret at its place.
    pub(crate) fn open(&self, sealed: &Sealed, place: &str) -> Result<Secret, StoreError> {
        let corrupt = |why: &str| StoreError::Corrupt { detail: format!("{place}: {why}") };
        let key = self.keys.iter().find(|key| key.id == sealed.key_id).ok_or_else(|| {
            corrupt("it was encrypted with an unknown master key; add that key to the old master keys")
        })?;
        let (nonce, rest) = sealed
            .bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(|| corrupt("it is too short for a sealed secret"))?;
        let mut bytes = rest.to_vec();
        let opened = key
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut bytes)
            .map_err(|_| corrupt("it was changed or moved since it was sealed"))?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| corrupt("it is no text"))?;
        Ok(Secret::new(text))
    }

    /// Returns a keyed hash by which a secret is recognized but not revealed.
    pub(crate) fn fingerprint(&self, secret: &Secret) -> String {
        let print = hmac::sign(&self.present().prints, secret.expose().as_bytes());
        print.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_decrypted_only_at_its_place_and_with_its_key() {
        let (old, new) = (Secret::new("the old master key"), Secret::new("the new master key"));
        let before = Sealer::new(&old, &[]);
        let secret = Secret::new("ghp_canary");
        let mut sealed = before.seal(&secret, "credential/sealed/1");
        assert!(!String::from_utf8_lossy(&sealed.bytes).contains("canary"));
        assert_eq!(before.open(&sealed, "credential/sealed/1").unwrap().expose(), "ghp_canary");
        assert!(before.open(&sealed, "credential/sealed/2").unwrap_err().to_string().contains("moved"));
        assert!(
            Sealer::new(&new, &[])
                .open(&sealed, "credential/sealed/1")
                .unwrap_err()
                .to_string()
                .contains("old master keys")
        );
        let after = Sealer::new(&new, &[old]);
        assert_eq!(after.open(&sealed, "credential/sealed/1").unwrap().expose(), "ghp_canary");
        assert_ne!(after.key_id(), sealed.key_id);
        let twice = before.seal(&secret, "credential/sealed/1");
        assert_ne!(twice.bytes, sealed.bytes, "a secret is never encrypted to the same bytes twice");
        *sealed.bytes.last_mut().unwrap() ^= 1;
        assert!(before.open(&sealed, "credential/sealed/1").is_err());
        sealed.bytes.truncate(5);
        assert!(before.open(&sealed, "credential/sealed/1").is_err());
        assert_eq!(before.fingerprint(&secret), before.fingerprint(&Secret::new("ghp_canary")));
    }
}
