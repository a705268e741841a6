//! End-to-end scenarios.

mod accounts_fixture;
mod api;
mod bad_input;
mod browser;
mod canary;
mod chromium;
mod ci;
mod credentials;
mod dashboard;
mod gitcode;
mod hostile;
mod idempotency;
mod intake;
mod jira;
mod jira_bad_input;
mod management;
mod node;
mod notifications;
mod oidc;
mod reviews;
mod story;
mod third_party_node;
mod tokens;
mod trust;
mod visibility;
mod webhook;
