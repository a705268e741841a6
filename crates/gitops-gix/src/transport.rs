//! The configuration of gix's HTTP transport, in memory: no files, no environment, no redirects.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use gix::protocol::transport::client::blocking_io::http;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::GitError;

use crate::GitOptions;
use crate::address::Address;

/// The time limit for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns gix's HTTP options for one call.
///
/// The credential is set as a header and not as gix's identity: gix refuses identities for all `http://` addresses, while
/// [`Address::check_credential`] allows this machine. Redirects are not followed, so the header does not reach another host.
pub(crate) fn http_options(
    options: &GitOptions,
    address: &Address,
    credential: Option<&GitCredential>,
) -> Result<http::Options, GitError> {
    let mut extra_headers = Vec::new();
    if let Some(GitCredential { username, password }) = credential {
        address.check_credential(options.allow_clear_http)?;
        extra_headers.push(if username.is_empty() {
            format!("Authorization: Bearer {}", password.expose())
        } else {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{}", password.expose()));
            format!("Authorization: Basic {pair}")
        });
    }
    Ok(http::Options {
        extra_headers,
        follow_redirects: http::options::FollowRedirects::None,
        user_agent: Some(concat!("patchwright/", env!("CARGO_PKG_VERSION")).to_owned()),
        backend: Some(Arc::new(Mutex::new(backend(options)?))),
        ..http::Options::default()
    })
}

fn backend(options: &GitOptions) -> Result<http::reqwest::Options, GitError> {
    let certificates = match &options.ca_bundle {
        Some(path) => read_certificates(path)?,
        None => Vec::new(),
    };
    let proxy = options.proxy.clone();
    let timeout = options.timeout;
    Ok(http::reqwest::Options {
        configure_client: Some(Box::new(move |builder| {
            let mut builder = builder.connect_timeout(CONNECT_TIMEOUT).timeout(timeout).no_proxy();
            if let Some(proxy) = &proxy {
                builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(gix::Error::from_error)?);
            }
            if !certificates.is_empty() {
                builder = builder.tls_certs_merge(certificates.clone());
            }
            Ok(builder)
        })),
        configure_request: None,
    })
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, GitError> {
    let invalid = |detail: String| GitError::InvalidOption { option: "GitOptions::ca_bundle", detail };
    let pem = std::fs::read(path).map_err(|error| invalid(format!("{} cannot be read: {error}", path.display())))?;
    reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|error| invalid(format!("{} contains no certificates: {error}", path.display())))
}
