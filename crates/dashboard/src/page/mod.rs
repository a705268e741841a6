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

/// What every page can do.
pub trait Page {
    /// The page as HTML.
    fn html(&self) -> String;
}

impl<T: Template> Page for T {
    fn html(&self) -> String {
        self.render().expect("a page writes to memory and has nothing that fails")
    }
}
