//! The effective settings, and the results of the checks.

use askama::Template;
use patchwright_management::{Finding, Severity};

use super::Section;
use crate::Layout;

/// A setting with its effective value.
#[derive(Debug, Clone)]
pub struct SettingRow {
    /// The name.
    pub name: &'static str,
    /// The value; masked if it is secret.
    pub value: String,
    /// The source of the value.
    pub source: String,
    /// The description.
    pub doc: &'static str,
    /// Whether the value is not the default.
    pub is_set: bool,
}

/// The effective settings, and the results of the checks.
#[derive(Debug, Template)]
#[template(path = "configuration.html")]
pub struct ConfigurationPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The settings that match the filter.
    pub settings: Vec<&'a SettingRow>,
    /// The text that a setting's name, value or description has; empty for all.
    pub search: &'a str,
    /// Whether only settings are shown whose value is not the default.
    pub changed_only: bool,
    /// The results of the checks; `None` before they were run.
    pub findings: Option<&'a [Finding]>,
}

/// Returns the CSS class of a severity.
pub(crate) const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "succeeded",
        Severity::Warning => "pending_merge",
        Severity::Error => "failed",
    }
}
