//! The settings in force, and what a look at the surroundings found.

use askama::Template;

use super::Section;
use crate::Frame;

/// Something that a look at the surroundings found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at.
    pub subject: Subject,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub said: String,
    /// What to do next; empty where it is well.
    pub remedy: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Something does not work, or will not for long.
    Warning,
    /// Nothing works without it.
    Bad,
}

impl Verdict {
    /// The name of its colour.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "succeeded",
            Self::Warning => "pending_merge",
            Self::Bad => "failed",
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the thing that it is named after")]
pub enum Subject {
    Database,
    Model,
    GitHub,
    GitCode,
    Webhook,
    PublicUrl,
    Sandbox,
    Nodes,
    Credentials,
}

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
    pub frame: &'a Frame,
    /// The settings.
    pub settings: &'a [SettingRow],
    /// What a look at the surroundings found; nothing before somebody asked for one.
    pub findings: Option<&'a [Finding]>,
}
