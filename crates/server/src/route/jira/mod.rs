//! Jira: sites, links, and the door (`spec/jira`).

pub(crate) mod links;
pub(crate) mod webhook;
pub(crate) mod workspaces;
