//! The pages.

mod board;
mod configuration;
mod issue;
mod issues;
mod job;
mod job_result;
mod jobs;
mod listing;
mod login;
mod problem;
mod statistics;
mod welcome;

pub use board::{Board, Card, Column, NodeCard, Waiting};
pub(crate) use configuration::severity_class;
pub use configuration::{ConfigurationPage, EditedSetting};
pub use issue::{CommentRow, ConversationPage, IssuePage, JobRow};
pub use issues::{DraftPage, IssueRow, Issues, StartButton};
pub use job::{CallPage, CallRow, DiffLayout, JobPage, ObjectPage};
pub use jobs::{JobListFilter, JobListRow, Jobs};
pub use listing::{Button, Cell, Field, Form, Input, Listing, ListingPage, Revealed, Row, Section};
pub use login::Login;
pub use problem::Problem;
pub use statistics::Statistics;
pub use welcome::{AppDonePage, AppFormPage, Delivery, Refusal, Webhook, Welcome};

use askama::Template;

/// A filter of a list that the viewer keeps.
#[derive(Debug, Clone)]
pub struct SavedFilter {
    /// The name that the viewer gave it.
    pub label: String,
    /// The URL of the list.
    pub url: String,
}

/// The common methods of pages.
pub trait Page {
    /// Renders the page as HTML.
    fn html(&self) -> String;
}

impl<T: Template> Page for T {
    fn html(&self) -> String {
        self.render().expect("a page writes to memory and has nothing that fails")
    }
}
