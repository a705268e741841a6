//! Registering this server as an application of a forge, in the browser.

use patchwright_core::Secret;
use patchwright_core::app_registration::{AppForm, NewApp};
use patchwright_domain::PlatformId;

use crate::error::ManagementError;
use crate::platform::AppSettings;
use crate::principal::Principal;
use crate::settings::NewValue;
use crate::{Inner, generate_secret, hash_secret};

/// The application to register.
#[derive(Debug, Clone)]
pub struct AppProposal {
    /// The organization that owns it; `None` for the account of the administrator.
    pub organization: Option<String>,
    /// The address of this server as the browser knows it, without a trailing slash.
    pub server_url: String,
    /// The path of this server that the forge sends the browser back to.
    pub return_path: String,
}

impl AppProposal {
    /// Returns whether a forge elsewhere can send deliveries to the server, as far as its address says.
    pub fn has_webhook(&self) -> bool {
        let url = url::Url::parse(&self.server_url).ok();
        url.as_ref().and_then(url::Url::host).is_some_and(|host| match host {
            url::Host::Domain(name) => name.contains('.'),
            url::Host::Ipv4(ip) => patchwright_http::is_public(ip.into()),
            url::Host::Ipv6(ip) => patchwright_http::is_public(ip.into()),
        })
    }
}

/// Registering this server as an application of a forge.
#[derive(Debug, Clone, Copy)]
pub struct AppSetup<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) platform: &'a PlatformId,
    pub(crate) app: &'a AppSettings,
}

impl AppSetup<'_> {
    const fn settings(&self) -> crate::Settings<'_> {
        crate::Settings(self.inner)
    }

    /// Returns the form that registers the application, and the nonce that binds the forge's answer to this browser: it is kept in
    /// a cookie, and given back to [`Self::finish`] once.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Conflict`] when other settings leave no
    /// room for the application.
    pub fn form(&self, principal: &Principal, proposal: &AppProposal) -> Result<(AppForm, Secret), ManagementError> {
        principal.require_admin()?;
        self.require_room()?;
        let nonce = generate_secret("");
        let AppProposal { organization, server_url, return_path } = proposal;
        let platform = self.platform;
        let form = self.app.registration.form(&NewApp {
            name: format!("{} {}", self.inner.engine.settings().app_name, short_host(server_url)),
            organization: organization.clone(),
            server_url: server_url.clone(),
            return_url: format!("{server_url}{return_path}"),
            webhook_url: proposal.has_webhook().then(|| format!("{server_url}/api/{platform}/webhook")),
            state: hash_secret(&nonce),
        });
        Ok((form, Secret::new(nonce)))
    }

    /// Checks that the keys of an application can be stored and used: afterwards it is too late, for they are handed out once.
    fn require_room(&self) -> Result<(), ManagementError> {
        let settings = self.settings();
        settings.require_changeable(&self.app.keys())?;
        for (name, value) in self.app.needed {
            settings.require_value(name, value)?;
        }
        Ok(())
    }

    /// Finishes the registration: fetches the keys, stores them and puts them into effect. A webhook secret that is fixed outside is
    /// given to the application; else the application's own one is stored, and the former one stays accepted. Returns the address on
    /// which the application is installed in repositories.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] when the answer belongs to another browser, and those of [`Self::form`], of
    /// [`patchwright_core::app_registration::AppRegistration`] and of [`crate::Settings::change`].
    pub async fn finish(
        &self,
        principal: &Principal,
        nonce: Option<&str>,
        (code, answered): (&str, &str),
    ) -> Result<String, ManagementError> {
        principal.require_admin()?;
        let (app, settings) = (self.app, self.settings());
        if !nonce.is_some_and(|nonce| Secret::new(hash_secret(nonce)).matches(answered)) {
            return Err(ManagementError::forbidden(
                "the registration was not begun in this browser, or is finished already; begin it again on /welcome",
            ));
        }
        self.require_room()?;
        let registered = app.registration.redeem(code).await?;
        self.inner.ports.redactor.add(&registered.private_key);
        let set = |name: &str, value: Secret| -> NewValue { (name.to_owned(), Some(value)) };
        let mut changes = vec![
            set(app.id, Secret::new(registered.id.clone())),
            set(app.private_key, registered.private_key.clone()),
            set(app.login, Secret::new(registered.login.clone())),
        ];
        // Nothing is delivered to a server that the forge cannot reach.
        let is_polled = registered.webhook_secret.is_none();
        if settings.require_changeable(&[app.poll]).is_ok() && (is_polled || settings.is_stored(app.poll)) {
            changes.push((app.poll.to_owned(), is_polled.then(|| Secret::new("true"))));
        }
        let former = settings.present_webhook_secret();
        let is_fixed = settings.require_changeable(&[app.webhook_secret, app.former_webhook_secret]).is_err();
        match (former, registered.webhook_secret.clone()) {
            (Some(fixed), Some(_)) if is_fixed => {
                app.registration.set_webhook_secret(&registered, &fixed).await?;
            }
            (former, Some(own)) => {
                changes.extend(former.map(|former| set(app.former_webhook_secret, former)));
                changes.push(set(app.webhook_secret, own));
            }
            // A server that a forge knows is not started without a secret.
            (None, None) => changes.push(set(app.webhook_secret, Secret::new(generate_secret("")))),
            (Some(_), None) => {}
        }
        settings.change(principal, changes).await?;
        Ok(registered.install_url)
    }

    /// Removes the keys of the application that was registered here. On the forge it stays.
    ///
    /// # Errors
    /// Those of [`crate::Settings::change`].
    pub async fn disconnect(&self, principal: &Principal) -> Result<(), ManagementError> {
        let settings = self.settings();
        let stored = self.app.stored().into_iter().filter(|name| settings.is_stored(name));
        let changes: Vec<NewValue> = stored.map(|name| (name.to_owned(), None)).collect();
        settings.change(principal, changes).await
    }

    /// Returns whether an application was registered here.
    pub fn is_connected(&self) -> bool {
        self.settings().is_stored(self.app.id)
    }
}

/// The host of an address without its domain, as a part of a name.
fn short_host(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.split(['.', ':', '/']).next().unwrap_or_default()
}
