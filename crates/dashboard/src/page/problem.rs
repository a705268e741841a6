//! The page of an error.

use askama::Template;

use crate::Layout;

/// A page with an error, and what to do about it.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// Whether the page was not found.
    pub is_missing: bool,
    /// The error.
    pub detail: &'a str,
}
