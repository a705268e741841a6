//! The settings in force, and what a look at the surroundings found.

use askama::Template;
use patchwright_management::{Finding, Severity};

use super::Section;
use crate::Layout;

/// A setting as it is in force.
#[derive(Debug, Clone)]
pub struct SettingRow {
    /// Its name.
    pub name: &'static str,
    /// Its value; masked when it is secret.
    pub value: String,
    /// Where it came from.
    pub source: String,
    /// What it does.
    pub doc: &'static str,
    /// Whether somebody set it.
    pub is_set: bool,
}

/// The settings in force, and whether everything is there.
#[derive(Debug, Template)]
#[template(path = "configuration.html")]
pub struct ConfigurationPage<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// The settings.
    pub settings: &'a [SettingRow],
    /// What a look at the surroundings found; nothing before somebody asked for one.
    pub findings: Option<&'a [Finding]>,
}

/// The CSS class of a severity.
pub(crate) const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "succeeded",
        Severity::Warning => "pending_merge",
        Severity::Error => "failed",
    }
}
