#![doc = include_str!("../README.md")]

mod inbound;
mod payload;
pub mod text;
mod webhook;

#[cfg(feature = "client")]
mod api;
#[cfg(feature = "client")]
mod circuit_breaker;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod cloud;
#[cfg(feature = "client")]
mod comment;
#[cfg(feature = "client")]
mod convert;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
mod oauth;
#[cfg(feature = "client")]
mod token;
#[cfg(feature = "client")]
mod wire;

#[cfg(feature = "client")]
pub use client::{ApiVersion, JiraAuth, JiraClient};
#[cfg(feature = "client")]
pub use cloud::{JiraCloud, JiraOptions, JiraRecords, States, WriteAs};
#[cfg(feature = "client")]
pub use oauth::{JiraOauth, OauthError, OauthOptions, Person, Site};
pub use patchwright_domain::jira::JIRA;
pub use webhook::JiraWebhook;
