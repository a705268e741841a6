//! `.patchwright.toml`: what a repository says about its test suites.

use std::collections::BTreeMap;
use std::time::Duration;

use patchwright_core::sandbox::{SandboxError, Suite, SuiteSettings};
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
}

/// Returns the suites that the text names.
///
/// # Errors
/// [`SandboxError::InvalidSettings`], with the place.
pub(crate) fn parse(text: &str) -> Result<Vec<Suite>, SandboxError> {
    let invalid = |detail: String| SandboxError::InvalidSettings { detail };
    let settings: Settings = toml::from_str(text).map_err(|error| invalid(error.message().to_owned()))?;
    settings.suite.into_iter().map(|entry| suite_of(entry).map_err(invalid)).collect()
}

fn suite_of(entry: Entry) -> Result<Suite, String> {
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
    Ok(Suite { ecosystem, folder: folder.to_owned(), settings: Some(settings), ..Suite::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_names_its_suites() {
        let text = "[[suite]]\npath = \"./web/\"\nbuild = \"make\"\ntest = \"npm run unit\"\nreport = \"out/*.xml\"\n\
                    timeout = 60\n[suite.env]\nTZ = \"UTC\"\n[[suite]]\necosystem = \"cargo\"\n[other]\nkey = 1\n";
        let suites = parse(text).unwrap();
        assert_eq!((suites[0].folder.as_str(), suites[0].ecosystem.as_str()), ("web", "command"));
        let settings = suites[0].settings.as_ref().unwrap();
        assert_eq!(settings.timeout, Some(Duration::from_secs(60)));
        assert_eq!(settings.env["TZ"], "UTC");
        assert_eq!((suites[1].folder.as_str(), suites[1].ecosystem.as_str()), ("", "cargo"));
        assert!(parse("").unwrap().is_empty());
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
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
