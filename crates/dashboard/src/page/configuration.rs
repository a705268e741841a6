//! The effective settings, and the results of the checks.

use askama::Template;
use jiff::Timestamp;
use patchwright_management::{Changeable, EffectiveSetting, Finding, Severity};

use url::form_urlencoded;

use super::Section;
use crate::Layout;

/// The effective settings, and the results of the checks.
#[derive(Debug, Template)]
#[template(path = "configuration.html")]
pub struct ConfigurationPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The settings that match the filter.
    pub settings: &'a [EffectiveSetting],
    /// The setting that is being changed, with what was typed and why it was refused.
    pub edited: Option<EditedSetting<'a>>,
    /// The current time.
    pub now: Timestamp,
    /// The text that a setting's name, value or description has; empty for all.
    pub search: &'a str,
    /// Whether only settings are shown whose value is not the default.
    pub changed_only: bool,
    /// The results of the checks; `None` before they were run.
    pub findings: Option<&'a [Finding]>,
}

/// A setting that is being changed.
#[derive(Debug, Clone)]
pub struct EditedSetting<'a> {
    /// The name of its environment variable.
    pub name: &'a str,
    /// What was typed.
    pub typed: &'a str,
    /// Why it was refused.
    pub problem: Option<String>,
}

impl ConfigurationPage<'_> {
    fn edited(&self, setting: &EffectiveSetting) -> Option<&EditedSetting<'_>> {
        self.edited.as_ref().filter(|edited| edited.name == setting.name)
    }

    /// Returns the title of a part, at its first setting that is shown.
    fn title_at(&self, setting: &EffectiveSetting) -> Option<&'static str> {
        let first = self.settings.iter().find(|other| other.group == setting.group);
        let is_first = first.is_some_and(|first| first.name == setting.name);
        is_first.then(|| self.layout.translations().group_of_settings(setting.group))
    }

    /// Returns the address of the page with a setting being changed.
    fn edit_url(&self, setting: &EffectiveSetting) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", self.search).finish();
        let changed = if self.changed_only { "&changed=true" } else { "" };
        format!("/settings/configuration?{query}{changed}&edit={0}#{0}", setting.name)
    }
}

/// Returns the CSS class of a severity.
pub(crate) const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "succeeded",
        Severity::Warning => "pending_merge",
        Severity::Error => "failed",
    }
}
