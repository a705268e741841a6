//! The common page of things that users add, change and remove: repositories, credentials, users, tokens, …

use askama::Template;
use jiff::Timestamp;

use crate::{Layout, Translations};

/// The sections of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Repositories.
    Repositories,
    /// The credentials of forges.
    Credentials,
    /// The nodes.
    Nodes,
    /// The users.
    Users,
    /// The viewer's own tokens.
    Tokens,
    /// The Jira sites, and the viewer's linked accounts.
    Jira,
    /// The notification channels.
    Notifications,
    /// The audit log.
    Audit,
    /// The effective settings, and the results of the checks.
    Configuration,
}

impl Section {
    /// All sections, in the order of their tabs.
    pub const ALL: [Self; 9] = [
        Self::Repositories,
        Self::Credentials,
        Self::Nodes,
        Self::Users,
        Self::Tokens,
        Self::Jira,
        Self::Notifications,
        Self::Audit,
        Self::Configuration,
    ];

    /// Returns the last part of its URL.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Repositories => "repositories",
            Self::Credentials => "credentials",
            Self::Nodes => "nodes",
            Self::Users => "users",
            Self::Tokens => "tokens",
            Self::Jira => "jira",
            Self::Notifications => "notifications",
            Self::Audit => "audit",
            Self::Configuration => "configuration",
        }
    }

    /// Returns the display name.
    pub const fn name(self, words: &Translations) -> &'static str {
        match self {
            Self::Repositories => words.repositories,
            Self::Credentials => words.credentials,
            Self::Nodes => words.nodes,
            Self::Users => words.users,
            Self::Tokens => words.tokens_of_api,
            Self::Jira => words.jira,
            Self::Notifications => words.notifications,
            Self::Audit => words.audit,
            Self::Configuration => words.configuration,
        }
    }

    /// Returns the hint.
    pub const fn hint(self, words: &Translations) -> &'static str {
        match self {
            Self::Repositories => words.repositories_hint,
            Self::Credentials => words.credentials_hint,
            Self::Nodes => words.nodes_hint,
            Self::Users => words.users_hint,
            Self::Tokens => words.tokens_hint,
            Self::Jira => words.jira_hint,
            Self::Notifications => words.notifications_hint,
            Self::Audit => words.audit_hint,
            Self::Configuration => words.configuration_hint,
        }
    }

    /// Returns whether only administrators see it.
    pub const fn is_for_admins(self) -> bool {
        matches!(self, Self::Credentials | Self::Users | Self::Audit | Self::Configuration)
    }
}

/// The content of a cell.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Plain text.
    Text(String),
    /// The name of an item, with details.
    Name(String, String),
    /// A state with its color.
    Chip(&'static str, String),
    /// A time; `None` if it is not set.
    Time(Option<Timestamp>),
    /// Text in a monospaced font.
    Code(String),
}

/// A button of an item.
#[derive(Debug, Clone)]
pub struct Button {
    /// The label.
    pub label: &'static str,
    /// The URL of its form.
    pub action: String,
    /// The fields of its form.
    pub fields: Vec<(&'static str, String)>,
    /// Whether it deletes something permanently, and so needs a confirmation.
    pub removes: bool,
}

impl Button {
    /// Creates a button without fields.
    pub const fn new(label: &'static str, action: String) -> Self {
        Self { label, action, fields: Vec::new(), removes: false }
    }

    /// Creates a button that deletes something permanently.
    #[must_use]
    pub fn removing(self) -> Self {
        Self { removes: true, ..self }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cells, in the order of the columns.
    pub cells: Vec<Cell>,
    /// The buttons.
    pub buttons: Vec<Button>,
    /// The link to more details: its label and URL.
    pub links: Vec<(&'static str, String)>,
}

/// The kind of an input.
#[derive(Debug, Clone)]
pub enum Input {
    /// One line of text.
    Text,
    /// A password.
    Secret,
    /// A number.
    Number,
    /// A date.
    Day,
    /// One of these options: value and label.
    Choice(Vec<(String, String)>),
    /// Any number of these options.
    Boxes(Vec<(String, String)>),
}

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Field {
    /// The name in the form.
    pub name: &'static str,
    /// The label.
    pub label: &'static str,
    /// The placeholder.
    pub example: &'static str,
    /// The kind of input.
    pub input: Input,
    /// Whether it is required.
    pub required: bool,
    /// What was typed or chosen, if the form was refused.
    pub values: Vec<String>,
}

impl Field {
    /// Creates a required text field.
    pub const fn text(name: &'static str, label: &'static str, example: &'static str) -> Self {
        Self { name, label, example, input: Input::Text, required: true, values: Vec::new() }
    }

    /// Sets another kind of input.
    #[must_use]
    pub fn of(self, input: Input) -> Self {
        Self { input, ..self }
    }

    /// Makes the field optional.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// Returns what was typed; empty in a new form.
    pub(super) fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    pub(super) fn is_chosen(&self, value: &str) -> bool {
        self.values.iter().any(|chosen| chosen == value)
    }
}

/// A form.
#[derive(Debug, Clone)]
pub struct Form {
    /// The label.
    pub title: &'static str,
    /// The URL.
    pub action: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// The label of its button.
    pub submit: &'static str,
    /// Why it was refused.
    pub problem: Option<String>,
}

impl Form {
    /// Keeps what was typed into a form that was refused, but no secrets.
    pub(crate) fn refuse(&mut self, problem: String, typed: impl Fn(&str) -> Vec<String>) {
        for field in &mut self.fields {
            if !matches!(field.input, Input::Secret) {
                field.values = typed(field.name);
            }
        }
        self.problem = Some(problem);
    }
}

/// A table of items.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The title; empty for the only table of a page.
    pub title: &'static str,
    /// The headers of the columns.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The text for an empty table.
    pub empty: &'static str,
}

impl Listing {
    fn has_buttons(&self) -> bool {
        self.rows.iter().any(|row| !row.buttons.is_empty() || !row.links.is_empty())
    }
}

/// A secret that is shown only once.
#[derive(Debug, Clone)]
pub struct Revealed {
    /// The label of the secret.
    pub label: String,
    /// The secret.
    pub secret: String,
}

/// A page of the settings.
#[derive(Debug, Template)]
#[template(path = "listing.html")]
pub struct ListingPage<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The current time.
    pub now: Timestamp,
    /// The section.
    pub section: Section,
    /// Whether the viewer is an administrator.
    pub is_admin: bool,
    /// The tables.
    pub listings: &'a [Listing],
    /// The forms.
    pub forms: &'a [Form],
    /// A generated secret, which is shown only once.
    pub revealed: Option<Revealed>,
    /// Why the last button did nothing.
    pub problem: Option<String>,
    /// The URL of the next page.
    pub next: Option<String>,
}

impl ListingPage<'_> {
    fn tabs(&self) -> impl Iterator<Item = Section> {
        Section::ALL.into_iter().filter(|section| self.is_admin || !section.is_for_admins())
    }
}
