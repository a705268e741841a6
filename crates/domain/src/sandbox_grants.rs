//! What an administrator lets the code of one repository do in the sandbox beyond its rules.

use serde::{Deserialize, Serialize};

/// The word for the registries that the server knows, among the hosts of [`SandboxGrants::network`].
pub const REGISTRIES: &str = "registries";
/// How many entries a list may have.
pub const MAX_ENTRIES: usize = 50;
/// The longest entry of a list, in characters.
pub const MAX_ENTRY: usize = 300;
/// The form of a host, beside [`REGISTRIES`]: a name of two labels at least, so that it is no machine of this network by accident,
/// and no address, which no certificate is for.
pub const HOST: &str = r"^(registries|(\*\.)?([a-z0-9][a-z0-9-]*\.)+[a-z][a-z0-9-]*)$";
/// The form of an image.
pub const IMAGE: &str = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$";
/// The form of the name of a variable.
pub const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// What an administrator lets the code of one repository do in the sandbox beyond its rules.
///
/// A repository asks for it in `.patchwright.toml`; what it asks for and is not granted does not happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxGrants {
    /// The hosts that its commands may reach with TLS, `*.example.com` for all below one; [`REGISTRIES`] stands for those of the
    /// server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<String>,
    /// The container images in which its commands may run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The names of variables of the machine that its commands may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Whether its packages may be fetched where that runs code: by Maven, Gradle, `NuGet` and Bundler.
    pub packages_with_code: bool,
}

/// A grant cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// It is no host.
    #[error("`{0}` is not a host, such as `api.example.com`, `*.example.com` or `{REGISTRIES}`")]
    Host(String),
    /// It is no image.
    #[error("`{0}` is not the name of a container image")]
    Image(String),
    /// It is no name of a variable.
    #[error("`{0}` is not the name of an environment variable")]
    Variable(String),
    /// There are too many.
    #[error("there are more than {MAX_ENTRIES} grants of one kind")]
    TooMany,
}

impl SandboxGrants {
    /// Returns whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the grants if they can be used, without repetitions.
    ///
    /// # Errors
    /// [`InvalidGrant`], for the first one that cannot.
    pub fn checked(self) -> Result<Self, InvalidGrant> {
        let network = tidy(self.network)?;
        let (images, env) = (tidy(self.images)?, tidy(self.env)?);
        let first = |list: &[String], is_usable: fn(&str) -> bool| {
            list.iter().find(|entry| entry.chars().count() > MAX_ENTRY || !is_usable(entry)).cloned()
        };
        if let Some(host) = first(&network, is_host) {
            return Err(InvalidGrant::Host(host));
        }
        if let Some(image) = first(&images, is_image) {
            return Err(InvalidGrant::Image(image));
        }
        if let Some(name) = first(&env, is_variable) {
            return Err(InvalidGrant::Variable(name));
        }
        Ok(Self { network, images, env, packages_with_code: self.packages_with_code })
    }
}

fn tidy(entries: Vec<String>) -> Result<Vec<String>, InvalidGrant> {
    if entries.len() > MAX_ENTRIES {
        return Err(InvalidGrant::TooMany);
    }
    let mut kept: Vec<String> = Vec::new();
    for entry in entries {
        if !kept.contains(&entry) {
            kept.push(entry);
        }
    }
    Ok(kept)
}

fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_named = name.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(|c: char| c.is_ascii_lowercase()));
    text == REGISTRIES || (is_named && name.split('.').all(is_label))
}

fn is_image(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_cannot_be_used_is_named() {
        let list = |entry: &str| vec![entry.to_owned()];
        let network = |host: &str| SandboxGrants { network: list(host), ..SandboxGrants::default() }.checked();
        for host in ["api.example.com", "*.example.com", "registries", "xn--a.example", "1.example"] {
            assert_eq!(network(host).unwrap().network.len(), 1, "{host}");
        }
        for host in [
            "https://a.example",
            "a.example:80",
            "*",
            "*.",
            "localhost",
            "127.0.0.1",
            "a..b",
            "a/b.c",
            "-a.b",
            "A.example",
            " a.example",
            "",
        ] {
            assert_eq!(network(host), Err(InvalidGrant::Host(host.to_owned())));
        }
        let image = |image: &str| SandboxGrants { images: list(image), ..SandboxGrants::default() }.checked();
        assert!(image("registry.example/team/python:3.12@sha256:ab").is_ok());
        assert_eq!(image("--privileged"), Err(InvalidGrant::Image("--privileged".to_owned())));
        let env = |name: &str| SandboxGrants { env: list(name), ..SandboxGrants::default() }.checked();
        assert!(env("TEST_DATABASE").is_ok());
        assert_eq!(env("A=B"), Err(InvalidGrant::Variable("A=B".to_owned())));
    }

    #[test]
    fn repetitions_are_left_out_and_long_lists_refused() {
        let network = ["a.example", "a.example"].map(str::to_owned).to_vec();
        assert_eq!(SandboxGrants { network, ..SandboxGrants::default() }.checked().unwrap().network, ["a.example"]);
        let many = (0..=MAX_ENTRIES).map(|number| format!("A{number}")).collect();
        assert_eq!(SandboxGrants { env: many, ..SandboxGrants::default() }.checked(), Err(InvalidGrant::TooMany));
    }
}
