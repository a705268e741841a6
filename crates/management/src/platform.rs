//! A platform as one value. Routes, forms, checks and polling use the list of platforms and name none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use patchwright_core::app_registration::AppRegistration;
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
    /// Whether the configuration has a credential for it. It changes when an application is registered.
    pub is_configured: Arc<AtomicBool>,
    /// The registration of an application of this server, where the forge has applications.
    pub app: Option<AppSettings>,
}

/// The registration of an application, and the settings that its keys are stored in.
#[derive(Clone)]
pub struct AppSettings {
    /// The forge's page and its keys.
    pub registration: Arc<dyn AppRegistration>,
    /// The setting of its id.
    pub id: &'static str,
    /// The setting of its private key.
    pub private_key: &'static str,
    /// The setting of the login that it comments under.
    pub login: &'static str,
    /// The setting of the secret that deliveries are signed with.
    pub webhook_secret: &'static str,
    /// The setting of the secret that was used before, which stays accepted.
    pub former_webhook_secret: &'static str,
    /// The setting that has the repositories of this server polled, for an application without a webhook.
    pub poll: &'static str,
    /// The values that other settings must have.
    pub needed: &'static [(&'static str, &'static str)],
}

impl AppSettings {
    /// The settings of the keys that the forge hands out once.
    pub(crate) const fn keys(&self) -> [&'static str; 3] {
        [self.id, self.private_key, self.login]
    }

    /// All settings that a registration stores.
    pub(crate) const fn stored(&self) -> [&'static str; 4] {
        [self.id, self.private_key, self.login, self.poll]
    }
}

impl std::fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppSettings").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Platform {
    /// A platform without added credentials and without redelivery, by its id and its display name.
    pub fn new(
        (id, name): (PlatformId, &'static str),
        forge: Arc<dyn Forge>,
        decoder: Arc<dyn WebhookDecoder>,
    ) -> Self {
        Self {
            id,
            name,
            forge,
            decoder,
            credentials: None,
            redelivery: None,
            is_configured: Arc::new(true.into()),
            app: None,
        }
    }

    /// Returns whether the configuration has a credential for it.
    pub fn is_configured(&self) -> bool {
        self.is_configured.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("id", &self.id).finish_non_exhaustive()
    }
}
