//! Registering an application of this server on a forge, in the browser of an administrator: the forge shows a page that is
//! already filled in, and sends the browser back with a code, for which it hands out the application's keys.

use async_trait::async_trait;

use crate::secret::Secret;
use crate::tracker::ForgeError;

/// The application to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApp {
    /// The name that the forge proposes; an administrator can change it there.
    pub name: String,
    /// The organization that owns it; `None` for the account of the administrator.
    pub organization: Option<String>,
    /// The address of this server, without a trailing slash.
    pub server_url: String,
    /// The address that the forge sends the browser back to.
    pub return_url: String,
    /// Where deliveries are sent; `None` if the forge cannot reach this server.
    pub webhook_url: Option<String>,
    /// What the forge returns unchanged with the code.
    pub state: String,
}

/// The form that the browser sends to the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppForm {
    /// The address that the form is sent to, by POST.
    pub action: String,
    /// The name of its only field.
    pub field: &'static str,
    /// The value of the field.
    pub value: String,
}

/// A registered application.
#[derive(Debug, Clone)]
pub struct RegisteredApp {
    /// The number that its tokens are issued for.
    pub id: String,
    /// The login that it comments under.
    pub login: String,
    /// The page on which it is installed in repositories.
    pub install_url: String,
    /// Its private key, in PEM.
    pub private_key: Secret,
    /// The secret that its deliveries are signed with, if it has a webhook.
    pub webhook_secret: Option<Secret>,
}

/// Registers applications on one forge.
#[async_trait]
pub trait AppRegistration: Send + Sync {
    /// Returns the form for an application.
    fn form(&self, new: &NewApp) -> AppForm;

    /// Exchanges the code for the application's keys. A code is valid once.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] for a code that is unknown, used or expired.
    async fn redeem(&self, code: &str) -> Result<RegisteredApp, ForgeError>;

    /// Makes the application sign its deliveries with another secret.
    ///
    /// # Errors
    /// [`ForgeError`]; then it keeps its own one.
    async fn set_webhook_secret(&self, app: &RegisteredApp, secret: &Secret) -> Result<(), ForgeError>;
}
