//! Verification of GitCode's deliveries, and their envelope.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use patchwright_core::Secret;
use patchwright_core::webhook::{
    DecodeError, Delivery, Headers, SignatureError, SigningKeys, WebhookDecoder, resolve_delivery_id, shorten_name,
};
use patchwright_domain::PlatformId;

use crate::event::{ignored, invalid_body};
use crate::{GITCODE, payload};

const EVENT_HEADER: &str = "X-GitCode-Event";
const DELIVERY_HEADER: &str = "X-GitCode-Delivery";
/// Carries the webhook's password in clear text, or an HMAC (`docs/requirements.md#r192`).
const TOKEN_HEADER: &str = "X-GitCode-Token";
/// Headers that carry an HMAC only: the documented one, and the other candidates of `docs/requirements.md#r192`.
const SIGNATURE_HEADERS: [&str; 5] =
    ["X-GitCode-Signature-256", "X-GitCode-Signature", "X-GitCode-Sign", "X-Signature", "X-GitCode-Webhook-Signature"];

/// The secrets that authenticate GitCode's deliveries.
#[derive(Debug, Clone)]
pub struct GitcodeSecrets {
    secrets: Arc<RwLock<Vec<Secret>>>,
    keys: SigningKeys,
    passwords: bool,
}

impl GitcodeSecrets {
    /// Creates a set of secrets. Several are accepted at once, so that a secret can be rotated without losing deliveries.
    ///
    /// `passwords` allows the secret itself in `X-GitCode-Token`, which webhooks with the encryption type "password" send.
    /// The secret then travels with every delivery; the type "signature key" is safer.
    pub fn new(secrets: &[Secret], passwords: bool) -> Self {
        let new = Self { keys: SigningKeys::new([]), secrets: Arc::default(), passwords };
        new.replace(secrets);
        new
    }

    /// Replaces the secrets, here and in all clones. Empty ones are left out.
    pub fn replace(&self, secrets: &[Secret]) {
        self.keys.replace(secrets);
        let secrets = secrets.iter().filter(|secret| !secret.is_empty()).cloned().collect();
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    fn is_password(&self, value: &str) -> bool {
        // All are compared, so that the time does not reveal which one matched.
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(false, |found, secret| secret.matches(value) | found)
    }
}

/// The server's own account on GitCode.
///
/// Issue events name assignees by a number that the API does not report. The number is configured, or taken from the first
/// event that the own account caused.
#[derive(Debug, Clone)]
pub struct GitcodeBot {
    pub(crate) login: String,
    id: Arc<AtomicI64>,
}

const UNKNOWN_ID: i64 = i64::MIN;

impl GitcodeBot {
    /// Creates the account from its login, and its number in webhooks if that is known.
    pub fn new(login: impl Into<String>, id: Option<i64>) -> Self {
        Self { login: login.into(), id: Arc::new(AtomicI64::new(id.unwrap_or(UNKNOWN_ID))) }
    }

    pub(crate) fn record_id(&self, user: Option<&payload::User<'_>>) {
        let Some(user) = user else { return };
        let is_own = user.username.as_ref().is_some_and(|name| name.as_str().eq_ignore_ascii_case(&self.login));
        if let Some(id) = user.id.filter(|_| is_own && !self.login.is_empty()) {
            self.id.store(id, Ordering::Relaxed);
        }
    }

    pub(crate) fn has_id(&self, id: i64) -> bool {
        id != UNKNOWN_ID && self.id.load(Ordering::Relaxed) == id
    }
}

/// Verifies and decodes GitCode's deliveries.
#[derive(Debug, Clone)]
pub struct GitcodeWebhook {
    secrets: GitcodeSecrets,
    pub(crate) bot: GitcodeBot,
}

impl GitcodeWebhook {
    /// Creates a decoder with these secrets and this account.
    pub const fn new(secrets: GitcodeSecrets, bot: GitcodeBot) -> Self {
        Self { secrets, bot }
    }
}

impl WebhookDecoder for GitcodeWebhook {
    fn platform(&self) -> PlatformId {
        GITCODE
    }

    fn event_header(&self) -> &'static str {
        EVENT_HEADER
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        let is_signed = |header: &str| {
            let value = headers.get(header).unwrap_or_default();
            !headers.is_repeated(header)
                && self.secrets.keys.matches(value.strip_prefix("sha256=").unwrap_or(value), body)
        };
        let signatures: Vec<_> = SIGNATURE_HEADERS.into_iter().filter(|name| headers.get(name).is_some()).collect();
        if !signatures.is_empty() {
            // A wrong one beside a right one is a sign of tampering.
            let is_valid = signatures.iter().all(|header| is_signed(header));
            tracing::debug!(platform = %GITCODE, ?signatures, is_valid, "checked the signatures of a delivery");
            return if is_valid { Ok(()) } else { Err(SignatureError::Wrong) };
        }
        let header = TOKEN_HEADER;
        let value = headers.get(header).ok_or(SignatureError::Missing)?;
        if is_signed(header) {
            tracing::debug!(platform = %GITCODE, header, mode = "signature", "authenticated a delivery");
            return Ok(());
        }
        if !headers.is_repeated(header) && self.secrets.passwords && self.secrets.is_password(value) {
            // At info, because operators should notice the weaker mode.
            tracing::info!(platform = %GITCODE, header, mode = "password", "authenticated a delivery");
            return Ok(());
        }
        Err(SignatureError::Wrong)
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT_HEADER).ok_or(DecodeError::Header { name: EVENT_HEADER })?;
        let known = ["Issue Hook", "Note Hook", "Merge Request Hook", "Push Hook", "Tag Push Hook"];
        if !known.contains(&event_type) {
            return Err(DecodeError::UnknownEvent { event: shorten_name(event_type), platform: GITCODE });
        }
        let id = resolve_delivery_id(headers, DELIVERY_HEADER, event_type, body)?;
        // Push events have another structure, and none of their fields are needed.
        let event = if event_type.contains("Push") {
            serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(|error| invalid_body(&error))?;
            ignored(format!("the event {event_type} starts no job"))
        } else {
            self.event(event_type, serde_json::from_slice(body).map_err(|error| invalid_body(&error))?)?
        };
        Ok(Delivery { id, event_type: event_type.to_owned(), event })
    }
}

#[cfg(test)]
mod tests;
