//! Passwords: hashed with Argon2id, few at a time.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use patchwright_core::Secret;
use tokio::sync::Semaphore;

use crate::route::error::ApiError;

/// The shortest password.
pub(crate) const MIN_LEN: usize = 10;
/// The longest, in characters: hashing more would be work that anybody can ask for.
const MAX_LEN: usize = 256;

/// Each hash takes 19 MiB and a core for a moment.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What the password of nobody is compared with, so that an unknown login takes as long as a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("nobody has this password"));

fn hash_now(password: &str) -> String {
    Argon2::default().hash_password(password.as_bytes()).expect("the system has random numbers").to_string()
}

/// # Errors
/// [`ApiError::BadRequest`] when it is too short or too long.
pub(crate) fn check(password: &Secret) -> Result<(), ApiError> {
    let length = password.expose().chars().count();
    if length < MIN_LEN {
        return Err(ApiError::bad("weak_password", format!("a password has at least {MIN_LEN} characters")));
    }
    if length > MAX_LEN {
        return Err(ApiError::bad("long_password", format!("a password has at most {MAX_LEN} characters")));
    }
    Ok(())
}

/// The hash to keep, in PHC form.
pub(crate) async fn hash(password: Secret) -> Result<String, ApiError> {
    check(&password)?;
    let _permit = AT_ONCE.acquire().await.expect("it is never closed");
    tokio::task::spawn_blocking(move || hash_now(password.expose())).await.map_err(ApiError::internal)
}

/// Whether the password is the one of the hash; `None` takes as long and is never right.
pub(crate) async fn verify(password: Secret, hash: Option<String>) -> Result<bool, ApiError> {
    if password.expose().chars().count() > MAX_LEN {
        return Ok(false);
    }
    let _permit = AT_ONCE.acquire().await.expect("it is never closed");
    tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let right = PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok());
        known && right
    })
    .await
    .map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let kept = hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(verify(Secret::new("correct horse battery"), Some(kept.clone())).await.unwrap());
        assert!(!verify(Secret::new("correct horse batterz"), Some(kept)).await.unwrap());
        assert!(!verify(Secret::new("nobody has this password"), None).await.unwrap());
        assert!(hash(Secret::new("short")).await.is_err());
    }
}
