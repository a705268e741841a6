//! The settings of outgoing connections.

use std::path::PathBuf;

use super::{ConfigError, Values};

/// The settings of outgoing connections.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct NetworkConfig {
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub ca_bundle: Option<PathBuf>,
    pub allow_clear_http: bool,
    pub allow_private_addresses: bool,
}

impl NetworkConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            http_proxy: v.optional("HTTP_PROXY"),
            https_proxy: v.optional("HTTPS_PROXY"),
            no_proxy: v.optional("NO_PROXY"),
            ca_bundle: v.optional("CA_BUNDLE").map(PathBuf::from),
            allow_clear_http: v.switch("ALLOW_CLEAR_HTTP")?,
            allow_private_addresses: v.switch("ALLOW_PRIVATE_ADDRESSES")?,
        })
    }
}
