//! Adding a person, wherever it is asked for.

use patchwright_core::accounts::Accounts as _;
use patchwright_core::{Clock as _, Secret};
use patchwright_domain::user::{Login, User};
use patchwright_domain::{Role, UserId};
use patchwright_store_diesel::DieselStore;

use super::password;
use crate::route::error::ApiError;
use patchwright_engine::clock::SystemClock;

/// Adds a person; without a password they cannot log in with one.
///
/// # Errors
/// [`ApiError::BadRequest`] for a login or password that cannot be used, [`ApiError::Conflict`] for one that is taken.
pub(crate) async fn add(
    store: &DieselStore,
    login: &str,
    role: Role,
    password: Option<Secret>,
) -> Result<User, ApiError> {
    let hash = match password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let user = fresh(login, role)?;
    store.add_user(&user, hash).await?;
    Ok(user)
}

/// A person who has just been thought of.
///
/// # Errors
/// [`ApiError::BadRequest`] for a login that cannot be used.
pub(crate) fn fresh(login: &str, role: Role) -> Result<User, ApiError> {
    let login = Login::parse(login).map_err(|error| ApiError::bad("bad_login", error.to_string()))?;
    let id = UserId::from_uuid(uuid::Uuid::now_v7());
    Ok(User { id, login, role, active: true, created_at: SystemClock.now() })
}
