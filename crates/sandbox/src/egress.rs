//! The way of a command to hosts that it may reach: the proxy of [`crate::registry_proxy`] through the relay of [`mod@crate::relay`].

use std::io;
use std::path::Path;

use crate::isolation::{Mount, Network};
use crate::process::CommandSpec;
use crate::registry_proxy::RegistryProxy;
use crate::relay::Outlet;

/// The certificates that the system trusts. Some package managers bring their own.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The variables by which programs find a proxy, and those by which they find certificates.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "npm_config_https_proxy", "CARGO_HTTP_PROXY"];
const CERTIFICATE_VARIABLES: [&str; 5] =
    ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CARGO_HTTP_CAINFO"];

/// An open way to some hosts. It ends on drop.
pub(crate) struct Egress {
    proxy: RegistryProxy,
    outlet: Outlet,
}

impl Egress {
    /// Opens the way to hosts, `*.example.com` for all below one.
    ///
    /// # Errors
    /// When the proxy or its socket cannot be made.
    pub(crate) async fn open(hosts: &[String]) -> io::Result<Self> {
        let proxy = RegistryProxy::start(hosts).await?;
        let outlet = Outlet::open(proxy.address)?;
        Ok(Self { proxy, outlet })
    }

    /// Lets a command use it, where its programs look for a proxy. `relay` passes its connections on.
    pub(crate) fn apply(&self, spec: &mut CommandSpec, relay: &Path) {
        let address = format!("http://{}", self.proxy.address);
        for name in PROXY_VARIABLES {
            spec.env.insert(name.to_owned(), address.clone());
        }
        // The JVM reads properties only.
        let (host, port) = (self.proxy.address.ip(), self.proxy.address.port());
        let properties = format!("-Dhttps.proxyHost={host} -Dhttps.proxyPort={port}");
        spec.env.insert("JAVA_TOOL_OPTIONS".to_owned(), properties);
        if Path::new(CERTIFICATES).is_file() {
            if spec.image.is_some() {
                // That of the machine knows the operator's own authorities.
                spec.mounts.push(Mount::read(CERTIFICATES, CERTIFICATES));
            }
            for name in CERTIFICATE_VARIABLES {
                spec.env.insert(name.to_owned(), CERTIFICATES.to_owned());
            }
        }
        spec.network = Network::Outlet {
            address: self.proxy.address,
            folder: self.outlet.folder.clone(),
            relay: relay.to_owned(),
        };
    }
}
