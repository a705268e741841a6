//! Generated secrets, and the hashes that they are stored as.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Generates a secret of 256 bits, with a prefix by which users and secret scanners recognize it.
pub fn generate_secret(prefix: &str) -> String {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the SHA-256 of a secret in hexadecimal digits. The secrets are random and long, so that a plain hash is safe.
pub fn hash_secret(secret: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
