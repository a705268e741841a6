#![doc = include_str!("../README.md")]

mod breaker;
mod client;
mod cloud;
mod comment;
mod convert;
mod error;
mod oauth;
mod oauth_port;
mod site;
pub mod text;
mod token;
mod webhook;
mod wire;

pub use client::{ApiVersion, JiraAuth, JiraClient};
pub use cloud::{JiraCloud, JiraOptions, JiraRecords, States, WriteAs};
pub use oauth::{JiraOauth, OauthError, OauthOptions, Person, Site};
pub use patchwright_domain::jira::JIRA;
pub use webhook::JiraWebhook;
