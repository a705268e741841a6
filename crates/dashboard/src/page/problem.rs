//! What went wrong.

use askama::Template;

use crate::Layout;

/// A page that says what went wrong, and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct Problem<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// Whether there is no such page at all.
    pub is_missing: bool,
    /// What happened.
    pub detail: &'a str,
}
