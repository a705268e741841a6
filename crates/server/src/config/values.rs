//! The layers of the configuration, and the values of all settings before validation.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use patchwright_core::{Redactor, Secret};
use patchwright_domain::money::Budget;

use super::ConfigError;
use crate::settings::{SETTINGS, Setting};

/// The sources of values, lowest precedence first.
#[derive(Clone, Default)]
pub struct Layers {
    /// A configuration file that must exist.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// `--set NAME=VALUE`.
    pub flags: Vec<(String, String)>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Layers {
    /// Returns the environment of the process, and without a `file` the one in the user's configuration folder, if there
    /// is one. The working directory is not looked at: it may be a repository of somebody else.
    pub fn from_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let env: Vec<(String, String)> = std::env::vars().collect();
        Self { file: file.or_else(|| usual_file(&env)), env, flags }
    }
}

/// Returns the file in the user's configuration folder, if it exists.
pub(super) fn usual_file(env: &[(String, String)]) -> Option<PathBuf> {
    let folder = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    let file = config.join("patchwright").join("patchwright.toml");
    (file.is_absolute() && file.is_file()).then_some(file)
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The table of settings.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The database: an administrator changed it.
    Stored,
    /// An environment variable.
    Env,
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stored => f.write_str("stored"),
            Self::Env => f.write_str("environment"),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// All settings with their values and sources.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, (Secret, Source)>);

impl Values {
    /// Returns the values of the layers that can be read, for a look at a configuration with an error in it.
    pub fn collect_usable(layers: &Layers) -> Self {
        let without_file = Layers { file: None, ..layers.clone() };
        let defaults = Layers::default();
        let candidates = [layers, &without_file, &defaults];
        candidates.into_iter().find_map(|layers| collect(layers).ok()).unwrap_or_default()
    }

    /// Returns each setting with the value to show and its source.
    pub fn display_rows(&self) -> impl Iterator<Item = (&'static Setting, String, &Source)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, source) = self.0.get(setting.name)?;
            let shown = match (setting.secret, value.is_empty()) {
                (true, false) => "[redacted]".to_owned(),
                // The URL of a database or proxy may contain a password.
                _ => Redactor::default().redact(value.expose()),
            };
            Some((setting, shown, source))
        })
    }

    /// Sets the values that administrators stored, where neither the environment nor the command line has one.
    pub(super) fn overlay(&mut self, stored: &[(String, Secret)]) {
        for (name, value) in stored {
            // One that a newer version stored is not known; one that an older version could change may be no longer.
            let setting = SETTINGS.iter().find(|setting| setting.name == name && setting.live);
            let present = setting.and_then(|setting| self.0.get_mut(setting.name));
            if let Some(present) = present.filter(|(_, source)| !matches!(source, Source::Env | Source::Flag)) {
                *present = (value.clone(), Source::Stored);
            }
        }
    }

    /// Sets a default that depends on other settings, if the setting is not set.
    pub(super) fn fill(&mut self, name: &'static str, value: String) {
        if self.text(name).is_empty() {
            self.0.insert(name, (Secret::new(value), Source::Default));
        }
    }

    pub(super) fn text(&self, name: &'static str) -> &str {
        self.0.get(name).map_or("", |(value, _)| value.expose().trim())
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        self.optional(name).map(Secret::new)
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn wrong(&self, name: &'static str, reason: impl Into<String>) -> ConfigError {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let secret = setting.is_some_and(|setting| setting.secret);
        let value = if secret { "[redacted]".to_owned() } else { self.text(name).to_owned() };
        let source_name = self.0.get(name).map_or_else(String::new, |(_, source)| source.to_string());
        ConfigError::Value { name, value, source_name, reason: reason.into() }
    }

    pub(super) fn parse<T: FromStr>(&self, name: &'static str, expected: &str) -> Result<T, ConfigError> {
        self.text(name).parse().map_err(|_| self.wrong(name, format!("it is not {expected}")))
    }

    /// Reads a number of mebibytes as bytes.
    pub(super) fn mebibytes(&self, name: &'static str) -> Result<u64, ConfigError> {
        Ok(self.parse::<u64>(name, "a number of mebibytes")?.saturating_mul(1 << 20))
    }

    pub(super) fn switch(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.text(name).to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" | "" => Ok(false),
            _ => Err(self.wrong(name, "it is neither true nor false")),
        }
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let seconds: u64 = self.parse(name, "a number of seconds")?;
        if seconds == 0 { Err(self.wrong(name, "it must be at least 1")) } else { Ok(Duration::from_secs(seconds)) }
    }

    pub(super) fn seconds_up_to(&self, name: &'static str, most: Duration) -> Result<Duration, ConfigError> {
        let given = self.seconds(name)?;
        if given > most { Err(self.wrong(name, format!("it must be at most {}", most.as_secs()))) } else { Ok(given) }
    }

    pub(super) fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(name).to_lowercase();
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.wrong(name, format!("it must be one of: {}", words.join(", ")))
        })
    }

    pub(super) fn url(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.optional(name) else { return Ok(None) };
        match url::Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(Some(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(self.wrong(name, "it is no http or https address")),
        }
    }

    pub(super) fn needed_url(&self, name: &'static str) -> Result<String, ConfigError> {
        self.url(name)?.ok_or_else(|| self.wrong(name, "it is empty"))
    }

    pub(super) fn list_of<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let one = |text: String| read(&text).ok_or_else(|| self.wrong(name, format!("`{text}` is not {expected}")));
        self.list(name).into_iter().map(one).collect()
    }

    /// Returns a budget of tokens, calls and cost.
    pub(super) fn budget(&self, [tokens, calls, cost]: [&'static str; 3]) -> Result<Budget, ConfigError> {
        Ok(Budget {
            max_tokens: self.parse(tokens, "a number")?,
            max_calls: self.parse(calls, "a number")?,
            max_cost_micros: self.price(cost)?,
        })
    }

    /// Returns a price per million tokens, in millionths.
    pub(super) fn price(&self, name: &'static str) -> Result<u64, ConfigError> {
        price_of(self.parse(name, "a number")?).ok_or_else(|| self.wrong(name, "it is not between 0 and a million"))
    }
}

/// Returns a price in millionths; `None` unless it is between 0 and a million.
pub(super) fn price_of(price: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
    (0.0..=1e6).contains(&price).then(|| (price * 1e6).round() as u64)
}

/// Variables of the command line, which are not settings of the server.
const COMMAND_LINE: [&str; 3] = ["PATCHWRIGHT_TOKEN", "PATCHWRIGHT_SERVER", "PATCHWRIGHT_JOIN_TOKEN"];

/// Merges the layers.
pub(super) fn collect(layers: &Layers) -> Result<Values, ConfigError> {
    let mut values: BTreeMap<&'static str, (Secret, Source)> =
        SETTINGS.iter().map(|setting| (setting.name, (Secret::new(setting.default), Source::Default))).collect();
    if let Some(path) = &layers.file {
        for (key, value) in read_file(path)? {
            let setting = SETTINGS.iter().find(|setting| setting.key() == key).ok_or_else(|| {
                let keys = SETTINGS.iter().map(Setting::key);
                unknown(&path.display().to_string(), &key, keys)
            })?;
            values.insert(setting.name, (Secret::new(value), Source::File(path.clone())));
        }
    }
    let find = |name: &str| SETTINGS.iter().find(|setting| setting.name == name);
    let names = || SETTINGS.iter().map(|setting| setting.name.to_owned());
    for (name, value) in &layers.env {
        // Many tools set a variable to an empty text to unset it.
        match find(name) {
            Some(setting) if !value.is_empty() => {
                values.insert(setting.name, (Secret::new(value.as_str()), Source::Env));
            }
            None if name.starts_with("PATCHWRIGHT_") && !COMMAND_LINE.contains(&name.as_str()) => {
                return Err(unknown("the environment", name, names()));
            }
            _ => {}
        }
    }
    for (name, value) in &layers.flags {
        let setting = find(name).ok_or_else(|| unknown("--set", name, names()))?;
        values.insert(setting.name, (Secret::new(value.as_str()), Source::Flag));
    }
    Ok(Values(values))
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let failed = |detail: String| ConfigError::File { path: path.to_owned(), detail };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let plain = |key: &str, value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(switch) => Ok(switch.to_string()),
        _ => Err(failed(format!("the value of `{key}` is neither text, number, true, false nor a list of them"))),
    };
    table
        .iter()
        .map(|(key, value)| {
            let text = match value {
                toml::Value::Array(items) => {
                    let items: Result<Vec<String>, _> = items.iter().map(|item| plain(key, item)).collect();
                    items?.join(",")
                }
                value => plain(key, value)?,
            };
            Ok((key.clone(), text))
        })
        .collect()
}

fn unknown(source_name: &str, key: &str, known: impl Iterator<Item = String>) -> ConfigError {
    let near = known
        .map(|name| {
            (similar::TextDiff::from_chars(key.to_lowercase().as_str(), name.to_lowercase().as_str()).ratio(), name)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(ratio, _)| *ratio > 0.7);
    let hint = near.map_or_else(String::new, |(_, name)| format!(" (did you mean `{name}`?)"));
    ConfigError::UnknownKey { source_name: source_name.to_owned(), key: key.to_owned(), hint }
}
