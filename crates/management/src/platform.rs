//! A platform as one value. Routes, forms, checks and polling use the list of platforms and name none.

use std::sync::Arc;

use patchwright_core::forge::Forge;
use patchwright_core::redelivery::Redelivery;
use patchwright_core::webhook::WebhookDecoder;
use patchwright_domain::PlatformId;

use crate::CredentialedForge;

/// A forge that this server supports.
#[derive(Clone)]
pub struct Platform {
    /// Its id in URLs and records.
    pub id: PlatformId,
    /// Its display name.
    pub name: &'static str,
    /// The client of its API.
    pub forge: Arc<dyn Forge>,
    /// Verifies and decodes its webhook deliveries.
    pub decoder: Arc<dyn WebhookDecoder>,
    /// The same forge with the credentials that administrators add; `None` if it does not use any.
    pub credentials: Option<Arc<CredentialedForge>>,
    /// Recovers missed events; `None` if the platform cannot, or if that is not configured.
    pub redelivery: Option<Arc<dyn Redelivery>>,
    /// Whether the configuration has a credential for it.
    pub is_configured: bool,
}

impl Platform {
    /// A platform without added credentials and without redelivery, by its id and its display name.
    pub fn new(
        (id, name): (PlatformId, &'static str),
        forge: Arc<dyn Forge>,
        decoder: Arc<dyn WebhookDecoder>,
    ) -> Self {
        Self { id, name, forge, decoder, credentials: None, redelivery: None, is_configured: true }
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("id", &self.id).finish_non_exhaustive()
    }
}
