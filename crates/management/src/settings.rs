//! The settings of the server: what is in effect, and what administrators change while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::stored_settings::{SettingChange, StoredSettings};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, generate_secret};

/// The longest value of a setting, in bytes: a private key, or a long list, fits.
pub const MAX_VALUE_BYTES: usize = 16 << 10;

/// The setting of the secret that deliveries are signed with.
const WEBHOOK_SECRET: &str = "WEBHOOK_SECRET";

/// How a setting is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changeable {
    /// Here, while the server runs.
    AtRuntime,
    /// Where it is set: the environment or the command line, which win over a stored value.
    Elsewhere,
    /// By a restart with another value.
    AtStart,
}

/// A setting with its effective value.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    /// The name of its environment variable.
    pub name: &'static str,
    /// The value; masked if it is secret.
    pub value: String,
    /// Where the value is from.
    pub source: String,
    /// The title of the part of the settings that it belongs to, in English and in Chinese.
    pub group: (&'static str, &'static str),
    /// The description, in Markdown.
    pub doc: &'static str,
    /// The same in Chinese, if it is there.
    pub chinese_doc: Option<&'static str>,
    /// Whether the value is not the default.
    pub is_set: bool,
    /// Whether the value is never shown.
    pub is_secret: bool,
    /// How it is changed.
    pub changeable: Changeable,
    /// Who stored the value, and when; `None` unless it is a stored one.
    pub changed: Option<(String, Timestamp)>,
}

/// A new value of a setting; `None` removes the stored one.
pub type NewValue = (String, Option<Secret>);

/// The configuration of the running server. The server implements it, because it knows how its parts are replaced.
#[async_trait]
pub trait LiveConfiguration: Send + Sync {
    /// Returns all settings.
    fn settings(&self) -> Vec<EffectiveSetting>;

    /// Returns the secret that deliveries are signed with.
    fn webhook_secret(&self) -> Option<Secret>;

    /// Checks the configuration with what is stored now and with changes.
    ///
    /// # Errors
    /// Why the server cannot run with them, naming the setting.
    async fn check(&self, changes: &[NewValue]) -> Result<(), String>;

    /// Puts into effect what is stored now; returns whether something changed.
    ///
    /// # Errors
    /// Why the stored settings cannot be read or used; then the former ones stay in effect.
    async fn reload(&self) -> Result<bool, String>;
}

/// The ports of settings that can be changed at runtime.
#[derive(Clone)]
pub struct SettingsPorts {
    /// The stored settings.
    pub stored: Arc<dyn StoredSettings>,
    /// The configuration of the running server.
    pub configuration: Arc<dyn LiveConfiguration>,
}

/// The settings of the server.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a>(pub(crate) &'a Inner);

impl Settings<'_> {
    fn ports(&self) -> Result<&SettingsPorts, ManagementError> {
        let missing = || ManagementError::NotFound("the settings of this server are not managed here".to_owned());
        self.0.ports.settings.as_ref().ok_or_else(missing)
    }

    /// Lists all settings, secrets masked.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`] where the application that
    /// embeds this layer manages its settings itself.
    pub fn list(&self, principal: &Principal) -> Result<Vec<EffectiveSetting>, ManagementError> {
        principal.require_admin()?;
        Ok(self.ports()?.configuration.settings())
    }

    /// Returns the secret that deliveries are signed with, and records in the audit log who saw it.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`] without a secret.
    pub async fn reveal_webhook_secret(&self, principal: &Principal) -> Result<Secret, ManagementError> {
        principal.require_admin()?;
        let secret = self.present_webhook_secret();
        let secret = secret.ok_or_else(|| ManagementError::NotFound("there is no webhook secret".to_owned()))?;
        let entry = self.0.audit_entry(principal.login(), "webhook_secret.shown", WEBHOOK_SECRET, "");
        self.0.ports.audit.record(&entry).await?;
        Ok(secret)
    }

    /// Generates the secret that deliveries are signed with, and returns it. One that there is stays.
    ///
    /// # Errors
    /// [`ManagementError::Conflict`] when there is one, and those of [`Self::change`].
    pub async fn generate_webhook_secret(&self, principal: &Principal) -> Result<Secret, ManagementError> {
        principal.require_admin()?;
        if self.has_webhook_secret() {
            let detail =
                format!("there is a webhook secret; change {WEBHOOK_SECRET} on the settings page to replace it");
            return Err(ManagementError::conflict("secret_exists", detail));
        }
        let secret = Secret::new(generate_secret(""));
        self.change(principal, vec![(WEBHOOK_SECRET.to_owned(), Some(secret.clone()))]).await?;
        Ok(secret)
    }

    pub(crate) fn present_webhook_secret(&self) -> Option<Secret> {
        self.ports().ok()?.configuration.webhook_secret()
    }

    /// Returns whether there is a secret that deliveries are signed with.
    pub fn has_webhook_secret(&self) -> bool {
        self.present_webhook_secret().is_some()
    }

    /// Checks that settings can be changed here.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`] for an unknown setting, [`ManagementError::Conflict`] for one that is fixed by the environment
    /// or needs a restart.
    pub fn require_changeable(&self, names: &[&str]) -> Result<(), ManagementError> {
        let known = self.ports()?.configuration.settings();
        for name in names {
            let setting = known.iter().find(|setting| setting.name == *name);
            let setting = setting.ok_or_else(|| ManagementError::NotFound(format!("there is no setting `{name}`")))?;
            match setting.changeable {
                Changeable::AtRuntime => {}
                Changeable::Elsewhere => {
                    let detail = format!(
                        "{name} is set by the {}, which wins over a stored value; remove it there to change it here",
                        setting.source
                    );
                    return Err(ManagementError::conflict("set_elsewhere", detail));
                }
                Changeable::AtStart => {
                    let detail =
                        format!("{name} is read at the start; set it in the environment and restart the server");
                    return Err(ManagementError::conflict("needs_restart", detail));
                }
            }
        }
        Ok(())
    }

    /// Checks that a setting has a value.
    pub(crate) fn require_value(&self, name: &str, value: &str) -> Result<(), ManagementError> {
        let known = self.ports()?.configuration.settings();
        if known.iter().any(|setting| setting.name == name && setting.value != value) {
            let needed = if value.is_empty() { "unset".to_owned() } else { format!("`{value}`") };
            return Err(ManagementError::conflict("other_setting", format!("{name} must be {needed} for this")));
        }
        Ok(())
    }

    /// Returns whether an administrator stored a value of a setting that is in effect.
    pub(crate) fn is_stored(&self, name: &str) -> bool {
        let known = self.ports().map(|ports| ports.configuration.settings()).unwrap_or_default();
        known.iter().any(|setting| setting.name == name && setting.changed.is_some())
    }

    /// Changes settings. All take effect together, in this process at once and in others on the same database within seconds.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Conflict`] for a value that the server
    /// cannot run with, and those of [`Self::require_changeable`].
    pub async fn change(&self, principal: &Principal, changes: Vec<NewValue>) -> Result<(), ManagementError> {
        principal.require_admin()?;
        let ports = self.ports()?;
        let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() || names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(ManagementError::conflict("bad_changes", "name at least one setting, and each one once"));
        }
        self.require_changeable(&names)?;
        for (name, value) in &changes {
            check_text(name, value.as_ref())?;
        }
        let unusable = |detail: String| ManagementError::conflict("bad_setting", self.0.ports.redactor.redact(&detail));
        // Two changes that are valid alone may not be together.
        let _one_at_a_time = self.0.changing_settings.lock().await;
        ports.configuration.check(&changes).await.map_err(unusable)?;
        let secrets: Vec<&str> =
            ports.configuration.settings().iter().filter(|known| known.is_secret).map(|known| known.name).collect();
        let stored = changes.into_iter().map(|(name, value)| {
            let is_secret = secrets.contains(&name.as_str());
            if let Some(secret) = value.as_ref().filter(|_| is_secret) {
                self.0.ports.redactor.add(secret);
            }
            let (action, detail) = match &value {
                None => ("setting.removed", String::new()),
                Some(_) if is_secret => ("setting.changed", "a new secret".to_owned()),
                Some(value) => ("setting.changed", value.expose().to_owned()),
            };
            let audit = self.0.audit_entry(principal.login(), action, &name, &detail);
            SettingChange { name, value, audit }
        });
        ports.stored.change_settings(stored.collect(), principal.login(), self.0.ports.clock.now()).await?;
        ports.configuration.reload().await.map_err(ManagementError::Unavailable)?;
        Ok(())
    }
}

/// Line breaks are allowed: a private key has them.
fn check_text(name: &str, value: Option<&Secret>) -> Result<(), ManagementError> {
    let Some(value) = value.map(Secret::expose) else { return Ok(()) };
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r');
    if value.trim().is_empty() || value.len() > MAX_VALUE_BYTES || value.contains(is_odd) {
        let detail = format!("{name} must have 1 to {MAX_VALUE_BYTES} bytes of text; remove it to use its default");
        return Err(ManagementError::conflict("bad_setting", detail));
    }
    Ok(())
}

impl std::fmt::Debug for SettingsPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SettingsPorts")
    }
}
