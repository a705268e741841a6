//! Checks of what a server needs: the types that the command line and the pages show. The server implements the checks,
//! because it knows its configuration.

use async_trait::async_trait;

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The database.
    Database,
    /// The model's endpoint.
    Model,
    /// A platform, by its display name.
    Platform(&'static str),
    /// Whether webhook deliveries are verified.
    Webhook,
    /// The public address.
    PublicUrl,
    /// The isolation of builds and tests.
    Sandbox,
    /// The nodes.
    Nodes,
    /// Credentials that expire soon.
    Credentials,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It works.
    Ok,
    /// It works with a limitation that an administrator should know.
    Warning,
    /// It does not work.
    Error,
}

/// One result.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was checked.
    pub subject: Subject,
    /// The result.
    pub severity: Severity,
    /// The finding, without secrets.
    pub detail: String,
    /// What to do about it; empty if it works.
    pub remedy: String,
}

/// Runs checks.
#[async_trait]
pub trait Diagnostics: Send + Sync {
    /// Runs every check.
    async fn check_all(&self) -> Vec<Finding>;

    /// Sends the model one short prompt.
    async fn check_model(&self) -> Finding;

    /// Requests the account of this server's credential from every platform.
    async fn check_platforms(&self) -> Vec<Finding>;
}
