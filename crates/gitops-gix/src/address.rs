//! Addresses of repositories, and the rules for sending credentials to them.

use std::net::IpAddr;
use std::path::PathBuf;

use patchwright_core::git::GitError;
use url::Url;

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A path on this machine.
    Local(PathBuf),
    /// `https://` or `http://`.
    Http(Url),
    /// `ssh://`, served by the git program.
    Ssh(Url),
}

impl Address {
    /// Parses an address. Git's other transports (`file:`, `ext::`, helpers) are refused, because they can run programs.
    pub(crate) fn parse(text: &str) -> Result<Self, GitError> {
        let refused = |reason: &str| GitError::AddressRefused { url: redact_url(text), reason: reason.to_owned() };
        if text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(refused("it starts with `-` or contains a control character"));
        }
        match text.split_once("://") {
            None if text.contains("::") => Err(refused("git's transport helpers are not allowed")),
            None => Ok(Self::Local(PathBuf::from(text))),
            Some((scheme, _)) => {
                let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
                if url.host_str().is_none_or(str::is_empty) {
                    return Err(refused("it names no host"));
                }
                if url.password().is_some() {
                    return Err(refused("it contains a password; set the forge's token instead"));
                }
                match scheme {
                    "https" | "http" => Ok(Self::Http(url)),
                    "ssh" if url.host_str().is_some_and(|host| !host.starts_with('-')) => Ok(Self::Ssh(url)),
                    _ => Err(refused("only https, http, ssh and local paths are allowed")),
                }
            }
        }
    }

    /// Returns the address without credentials, for messages.
    pub(crate) fn redacted(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Http(url) | Self::Ssh(url) => redact_url(url.as_str()),
        }
    }

    /// Returns what tells this repository from all others: the whole address, without the user of `http` and `https`.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Local(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
            Self::Http(url) => {
                let mut url = url.clone();
                // It fails only for addresses that cannot have a user.
                let _ = url.set_username("");
                url.to_string()
            }
            Self::Ssh(url) => url.to_string(),
        }
    }

    /// Checks that a credential may be sent to the address: over clear `http` to this machine only, unless allowed.
    pub(crate) fn check_credential(&self, allow_clear_http: bool) -> Result<(), GitError> {
        match self {
            Self::Http(url) if url.scheme() == "http" && !allow_clear_http && !is_loopback(url) => {
                Err(GitError::ClearTextCredential { url: self.redacted() })
            }
            _ => Ok(()),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

/// The longest address that a message repeats if it is not a URL, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// Removes user, password, query and fragment from an address.
fn redact_url(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            // Both fail only for addresses that cannot have a user.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        _ => text.chars().take(MAX_SHOWN_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_that_can_run_programs_are_refused() {
        for bad in [
            "ext::sh -c id",
            "file:///etc",
            "gopher://x/y",
            "-oProxyCommand=x",
            "https://",
            "ssh://-oProxyCommand=id/x",
            "https://u:p@host/x",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad} was accepted");
        }
        assert!(matches!(Address::parse("/srv/x.git"), Ok(Address::Local(_))));
        assert!(matches!(Address::parse("https://host/x.git"), Ok(Address::Http(_))));
    }

    #[test]
    fn a_credential_is_sent_over_clear_http_only_to_this_machine() {
        let ok = |text: &str, allow| Address::parse(text).unwrap().check_credential(allow).is_ok();
        assert!(ok("https://git.example/x", false));
        assert!(ok("http://127.0.0.1:8080/x", false));
        assert!(ok("http://[::1]/x", false));
        assert!(ok("http://localhost/x", false));
        assert!(!ok("http://git.example/x", false));
        assert!(!ok("http://127.0.0.1.evil.example/x", false));
        assert!(ok("http://git.example/x", true));
    }

    #[test]
    fn errors_contain_no_credential() {
        let error = Address::parse("https://u:hunter2@host/x").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
