//! From nothing to the first job.

use askama::Template;
use jiff::Timestamp;

use patchwright_management::{Finding, Severity};

use super::{Form, Input, IssueRow, StartButton};
use crate::Layout;

/// Where a forge sends its events.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The forge.
    pub platform: &'static str,
    /// The address to enter there.
    pub url: String,
}

/// The last delivery that came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Of which forge.
    pub platform: String,
    /// What it told.
    pub event: String,
    /// When.
    pub at: Timestamp,
}

/// The first steps, each with what is found of it now.
#[derive(Debug, Template)]
#[template(path = "welcome.html")]
pub struct Welcome<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// The time.
    pub now: Timestamp,
    /// Whether an administrator was added.
    pub has_admin: bool,
    /// The model that is configured.
    pub model: Option<String>,
    /// What the last look at the model found.
    pub model_finding: Option<Finding>,
    /// What the last look at the forges found.
    pub platform_findings: &'a [Finding],
    /// Whether anything is configured or added that lets us in at a forge.
    pub has_credential: bool,
    /// Where to send deliveries.
    pub webhooks: &'a [Webhook],
    /// Whether there is a secret that deliveries are signed with.
    pub has_secret: bool,
    /// The secret, once it was asked for.
    pub secret: Option<&'a str>,
    /// The newest delivery.
    pub delivery: Option<Delivery>,
    /// The form that adds a credential.
    pub credential_form: Form,
    /// The form that adds a repository.
    pub repository_form: Form,
    /// How many repositories there are.
    pub repositories: usize,
    /// Some issues to try.
    pub issues: &'a [IssueRow],
}

impl Welcome<'_> {
    const fn state(done: bool) -> &'static str {
        if done { "done" } else { "open" }
    }

    fn model_works(&self) -> bool {
        self.model_finding.as_ref().is_some_and(|finding| finding.severity == Severity::Ok)
    }

    fn platform_works(&self) -> bool {
        self.has_credential && self.platform_findings.iter().any(|finding| finding.severity == Severity::Ok)
    }

    fn model_findings(&self) -> Vec<Finding> {
        self.model_finding.clone().into_iter().collect()
    }

    const fn button(row: &IssueRow) -> StartButton {
        row.button
    }
}
