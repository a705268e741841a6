//! The first steps up to the first job.

use askama::Template;
use jiff::Timestamp;

use patchwright_core::app_registration::AppForm;
use patchwright_management::{Finding, Severity};

use super::{Form, Input, IssueRow, StartButton};
use crate::Layout;

/// The webhook of a forge.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The forge.
    pub platform: &'static str,
    /// The URL to enter there.
    pub url: String,
}

/// A refused delivery.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The platform of the endpoint.
    pub platform: String,
    /// The status of the response.
    pub status: u16,
    /// The reason.
    pub reason: String,
    /// The time.
    pub at: Timestamp,
}

/// The last received delivery.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The forge.
    pub platform: String,
    /// The event.
    pub event: String,
    /// The time.
    pub at: Timestamp,
}

/// The first steps, each with its current state.
#[derive(Debug, Template)]
#[template(path = "welcome.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is the state of a step of its own")]
pub struct Welcome<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// Whether there is an administrator.
    pub has_admin: bool,
    /// The model that is configured.
    pub model: Option<String>,
    /// The result of the last check of the model.
    pub model_finding: Option<Finding>,
    /// The results of the last check of the forges.
    pub platform_findings: &'a [Finding],
    /// Whether a credential of a forge is configured or added.
    pub has_credential: bool,
    /// The webhooks to configure.
    pub webhooks: &'a [Webhook],
    /// Whether a webhook secret is configured.
    pub has_secret: bool,
    /// The webhook secret, if the viewer requested it.
    pub secret: Option<&'a str>,
    /// The newest delivery.
    pub delivery: Option<Delivery>,
    /// The newest delivery that was refused.
    pub refusal: Option<Refusal>,
    /// The form that connects a model.
    pub model_form: Form,
    /// Whether the model's answers are a recording.
    pub is_recorded: bool,
    /// Whether there is a demo repository to offer.
    pub offers_demo: bool,
    /// Whether the forge with applications has one of this server.
    pub has_app_registration: bool,
    /// Whether one was registered here.
    pub has_app: bool,
    /// Whether jobs run on nodes only, which have a model of their own.
    pub nodes_ask_model: bool,
    /// The form that adds a credential.
    pub credential_form: Form,
    /// The form that adds a repository.
    pub repository_form: Form,
    /// The number of repositories.
    pub repositories: usize,
    /// Some issues to try.
    pub issues: &'a [IssueRow],
}

impl Welcome<'_> {
    const fn state(done: bool) -> &'static str {
        if done { "done" } else { "open" }
    }

    fn model_works(&self) -> bool {
        !self.is_recorded && self.model_finding.as_ref().is_some_and(|finding| finding.severity == Severity::Ok)
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

/// The page between this server and the page of a forge on which an application is registered.
#[derive(Debug, Template)]
#[template(path = "app_form.html")]
pub struct AppFormPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The form that is sent to the forge.
    pub form: &'a AppForm,
    /// Whether the forge can send deliveries to this server.
    pub has_webhook: bool,
}

/// The page after an application was registered.
#[derive(Debug, Template)]
#[template(path = "app_done.html")]
pub struct AppDonePage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The page on which it is installed in repositories.
    pub install_url: &'a str,
}
