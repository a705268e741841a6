//! Coming in.

use askama::Template;

use crate::Layout;

/// The page on which people log in.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// Where to go then: a path of this server.
    pub return_to: &'a str,
    /// Why the last try failed.
    pub problem: Option<&'a str>,
    /// Whether nobody was added yet: the first administrator comes in with the token that the server printed.
    pub is_first: bool,
    /// The address that leads to the login provider, where there is one.
    pub provider: Option<&'a str>,
}
