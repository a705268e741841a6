//! The pages.

mod issue;
mod issues;
mod login;
mod problem;

pub use issue::{IssuePage, JobRow};
pub use issues::{IssueRow, Issues, StartButton};
pub use login::Login;
pub use problem::Problem;

use askama::Template;

/// Renders a page.
fn rendered(page: &impl Template) -> String {
    page.render().expect("a page writes to memory and has nothing that fails")
}
