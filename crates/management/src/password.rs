//! Passwords: hashed with Argon2id, few at a time.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use patchwright_core::Secret;
use tokio::sync::Semaphore;

use crate::error::ManagementError;

/// The shortest password.
const MIN_CHARS: usize = 10;
/// The longest password, in characters: the cost of hashing longer ones could be abused.
const MAX_CHARS: usize = 256;

/// How many hashes are computed at once: each takes 19 MiB and a core.
static CONCURRENT_HASHES: Semaphore = Semaphore::const_new(2);

/// The hash that an unknown login is compared with, so that it takes as long as a known one.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| hash_now("nobody has this password"));

fn hash_now(password: &str) -> String {
    Argon2::default().hash_password(password.as_bytes()).expect("the system has random numbers").to_string()
}

/// # Errors
/// [`ManagementError::Invalid`] when it is too short or too long.
fn check(password: &Secret) -> Result<(), ManagementError> {
    let length = password.expose().chars().count();
    if length < MIN_CHARS {
        return Err(ManagementError::invalid(
            "weak_password",
            format!("a password has at least {MIN_CHARS} characters"),
        ));
    }
    if length > MAX_CHARS {
        return Err(ManagementError::invalid(
            "long_password",
            format!("a password has at most {MAX_CHARS} characters"),
        ));
    }
    Ok(())
}

/// Hashes a password, in PHC form.
pub(crate) async fn hash(password: Secret) -> Result<String, ManagementError> {
    check(&password)?;
    let _permit = CONCURRENT_HASHES.acquire().await.expect("it is never closed");
    tokio::task::spawn_blocking(move || hash_now(password.expose())).await.map_err(ManagementError::internal)
}

/// Returns whether the password matches the hash; `None` takes as long and never matches.
pub(crate) async fn verify(password: Secret, hash: Option<String>) -> Result<bool, ManagementError> {
    if password.expose().chars().count() > MAX_CHARS {
        return Ok(false);
    }
    let _permit = CONCURRENT_HASHES.acquire().await.expect("it is never closed");
    tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.clone());
        let is_right = PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok());
        known && is_right
    })
    .await
    .map_err(ManagementError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches_its_hash() {
        let kept = hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(verify(Secret::new("correct horse battery"), Some(kept.clone())).await.unwrap());
        assert!(!verify(Secret::new("correct horse batterz"), Some(kept)).await.unwrap());
        assert!(!verify(Secret::new("nobody has this password"), None).await.unwrap());
        assert!(hash(Secret::new("short")).await.is_err());
    }
}
