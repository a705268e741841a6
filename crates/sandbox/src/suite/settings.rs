//! `.patchwright.toml`: what a repository says about its test suites.

use std::collections::BTreeMap;
use std::time::Duration;

use patchwright_core::sandbox::{Granted, SandboxError, Suite, SuiteSettings};
use patchwright_domain::SandboxGrants;
use patchwright_domain::sandbox_grants::REGISTRIES;
use serde::Deserialize;

use super::Ecosystem;

/// The longest time limit that a repository can set for a run.
const MAX_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    suite: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The folder, relative to the root.
    #[serde(default)]
    path: String,
    /// `cargo`, `python`, …, if its commands are only completed here.
    ecosystem: Option<String>,
    setup: Option<String>,
    build: Option<String>,
    test: Option<String>,
    report: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Seconds.
    timeout: Option<u64>,
    /// Hosts, or `true` for the registries.
    #[serde(default)]
    network: Network,
    /// A container image.
    image: Option<String>,
    /// Variables of the machine.
    #[serde(default)]
    host_env: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Network {
    Registries(bool),
    Hosts(Vec<String>),
}

impl Default for Network {
    fn default() -> Self {
        Self::Registries(false)
    }
}

impl Network {
    fn hosts(self) -> Vec<String> {
        match self {
            Self::Registries(true) => vec![REGISTRIES.to_owned()],
            Self::Registries(false) => Vec::new(),
            Self::Hosts(hosts) => hosts.into_iter().map(|host| host.to_lowercase()).collect(),
        }
    }
}

/// Returns the suites that the text names, with what of their wishes is granted.
///
/// # Errors
/// [`SandboxError::InvalidSettings`], with the place.
pub(crate) fn parse(text: &str, grants: &SandboxGrants) -> Result<Vec<Suite>, SandboxError> {
    let invalid = |detail: String| SandboxError::InvalidSettings { detail };
    let settings: Settings = toml::from_str(text).map_err(|error| invalid(error.message().to_owned()))?;
    settings.suite.into_iter().map(|entry| suite_of(entry, grants).map_err(invalid)).collect()
}

fn suite_of(mut entry: Entry, grants: &SandboxGrants) -> Result<Suite, String> {
    let granted = grant(&mut entry, grants);
    let folder = entry.path.trim_matches('/').trim_start_matches("./");
    let folder = if folder == "." { "" } else { folder };
    let inside = |path: &str| path.split('/').all(|part| part != "..") && !path.starts_with('/');
    if !inside(&entry.path) || !entry.report.as_deref().is_none_or(inside) {
        return Err(format!("the suite `{}` leads out of the repository", entry.path));
    }
    let known = |name: &String| Ecosystem::ALL.iter().any(|ecosystem| ecosystem.name() == name);
    let ecosystem = match entry.ecosystem {
        Some(name) if known(&name) => name,
        Some(name) => return Err(format!("the suite `{}` has the unknown ecosystem `{name}`", entry.path)),
        None if entry.test.is_some() => Ecosystem::Command.name().to_owned(),
        None => return Err(format!("the suite `{}` needs `test` or `ecosystem`", entry.path)),
    };
    let timeout = entry.timeout.map(Duration::from_secs).map(|timeout| timeout.min(MAX_TIMEOUT));
    let settings = SuiteSettings {
        setup: entry.setup,
        build: entry.build,
        test: entry.test,
        report: entry.report,
        env: entry.env,
        timeout,
    };
    Ok(Suite { ecosystem, folder: folder.to_owned(), settings: Some(settings), granted, ..Suite::default() })
}

/// Compares what a suite asks for with what an administrator granted.
fn grant(entry: &mut Entry, grants: &SandboxGrants) -> Granted {
    let mut missing = Vec::new();
    let mut keep = |kind: &str, asked: Vec<String>, granted: &[String]| -> Vec<String> {
        let (kept, refused): (Vec<String>, Vec<String>) =
            asked.into_iter().partition(|entry| is_granted(entry, granted));
        missing.extend(refused.into_iter().map(|entry| format!("{kind} `{entry}`")));
        kept
    };
    let network = keep("network", std::mem::take(&mut entry.network).hosts(), &grants.network);
    let image = keep("image", entry.image.take().into_iter().collect(), &grants.images).pop();
    let env = keep("host_env", std::mem::take(&mut entry.host_env), &grants.env);
    let packages_with_code = grants.packages_with_code;
    Granted { network, image, env, packages_with_code, missing, repository: String::new() }
}

fn is_granted(asked: &str, granted: &[String]) -> bool {
    granted.iter().any(|entry| {
        entry == asked
            || entry.strip_prefix('*').is_some_and(|domain| asked.ends_with(domain) && !asked.starts_with('*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_names_its_suites() {
        let text = "[[suite]]\npath = \"./web/\"\nbuild = \"make\"\ntest = \"npm run unit\"\nreport = \"out/*.xml\"\n\
                    timeout = 60\n[suite.env]\nTZ = \"UTC\"\n[[suite]]\necosystem = \"cargo\"\n[other]\nkey = 1\n";
        let suites = parse(text, &SandboxGrants::default()).unwrap();
        assert_eq!((suites[0].folder.as_str(), suites[0].ecosystem.as_str()), ("web", "command"));
        let settings = suites[0].settings.as_ref().unwrap();
        assert_eq!(settings.timeout, Some(Duration::from_secs(60)));
        assert_eq!(settings.env["TZ"], "UTC");
        assert_eq!((suites[1].folder.as_str(), suites[1].ecosystem.as_str()), ("", "cargo"));
        assert!(parse("", &SandboxGrants::default()).unwrap().is_empty());
    }

    #[test]
    fn what_widens_the_sandbox_takes_effect_only_where_it_is_granted() {
        let text = "[[suite]]\ntest = \"make\"\nimage = \"python:3.12\"\nhost_env = [\"A\", \"B\"]\n\
                    network = [\"Api.example.com\", \"x.cdn.example\", \"other.example\"]\n\
                    [[suite]]\npath = \"web\"\ntest = \"make\"\nnetwork = true\n";
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let grants = SandboxGrants {
            network: list(&["api.example.com", "*.cdn.example"]),
            images: list(&["python:3.12"]),
            env: list(&["B"]),
            packages_with_code: false,
        };
        let granted = |grants: &SandboxGrants, at: usize| parse(text, grants).unwrap()[at].granted.clone();
        let found = granted(&grants, 0);
        assert_eq!(found.network, ["api.example.com", "x.cdn.example"]);
        assert_eq!((found.image.as_deref(), found.env), (Some("python:3.12"), list(&["B"])));
        assert_eq!(found.missing, ["network `other.example`", "host_env `A`"]);
        assert_eq!(granted(&grants, 1).missing, ["network `registries`"]);
        let none = granted(&SandboxGrants::default(), 0);
        assert!(none.network.is_empty() && none.image.is_none() && none.env.is_empty() && none.missing.len() == 6);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, word) in [
            ("[[suite]]\npath = \"../x\"\ntest = \"make\"", "leads out"),
            ("[[suite]]\nreport = \"/etc/x\"\ntest = \"make\"", "leads out"),
            ("[[suite]]\npath = \"a\"", "needs `test`"),
            ("[[suite]]\necosystem = \"cobol\"", "cobol"),
            ("[[suite]]\ntests = \"make\"", "unknown field"),
            ("[[suite]", "unclosed"),
        ] {
            let error = parse(text, &SandboxGrants::default()).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
