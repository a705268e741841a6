//! The login page.

use askama::Template;

use crate::Layout;

/// The page for the login.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The path of this server to go to after the login.
    pub return_to: &'a str,
    /// The login of the last attempt.
    pub login: &'a str,
    /// The error of the last attempt.
    pub problem: Option<&'a str>,
    /// Whether there are no users yet: the first administrator is created with the token that the server printed.
    pub is_first: bool,
    /// The URL of the login at the provider, if one is configured.
    pub provider: Option<&'a str>,
}
