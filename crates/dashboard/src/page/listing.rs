//! A page of things that people add, change and remove: repositories, credentials, people, tokens, …; all of them look and
//! work alike.

use askama::Template;
use jiff::Timestamp;

use crate::{Layout, Translations};

/// The parts of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Repositories.
    Repositories,
    /// What opens forges.
    Credentials,
    /// Machines that execute tasks.
    Nodes,
    /// People.
    Users,
    /// One's own tokens.
    Tokens,
    /// Sites of Jira, and one's own accounts there.
    Jira,
    /// Where one is told of what happens.
    Notifications,
    /// Who did what.
    Audit,
    /// The settings in force, and whether everything is there.
    Configuration,
}

impl Section {
    /// All of them, in the order of their tabs.
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

    /// The last part of its address.
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

    /// What it is called.
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

    /// What it is for.
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

    /// Whether only administrators see it.
    pub const fn is_for_admins(self) -> bool {
        matches!(self, Self::Credentials | Self::Users | Self::Audit | Self::Configuration)
    }
}

/// What stands in a cell.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Translations.
    Text(String),
    /// The name of the thing, with what more is to say of it.
    Name(String, String),
    /// A state with its colour.
    Chip(&'static str, String),
    /// A time; nothing where it has not come.
    Time(Option<Timestamp>),
    /// Something for programs.
    Code(String),
}

/// A button beside a thing.
#[derive(Debug, Clone)]
pub struct Button {
    /// What stands on it.
    pub label: &'static str,
    /// Where its form goes.
    pub action: String,
    /// What the form says.
    pub fields: Vec<(&'static str, String)>,
    /// Whether it takes something away for good: it is asked for once more.
    pub removes: bool,
}

impl Button {
    /// A button that says nothing but where it goes.
    pub const fn new(label: &'static str, action: String) -> Self {
        Self { label, action, fields: Vec::new(), removes: false }
    }

    /// The same for something that is gone then.
    #[must_use]
    pub fn removing(self) -> Self {
        Self { removes: true, ..self }
    }

    /// The same, saying more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// A thing.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is said of it, in the order of the columns.
    pub cells: Vec<Cell>,
    /// What can be done with it.
    pub buttons: Vec<Button>,
    /// Where more of it is: what stands on the link, and its address.
    pub links: Vec<(&'static str, String)>,
}

/// How a field is filled in.
#[derive(Debug, Clone)]
pub enum Input {
    /// Translations in one line.
    Text,
    /// Translations that are not shown.
    Secret,
    /// A number.
    Number,
    /// A day.
    Day,
    /// One of these: value and what stands for it.
    Choice(Vec<(String, String)>),
    /// Any of these.
    Boxes(Vec<(String, String)>),
}

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in the form.
    pub name: &'static str,
    /// What stands over it.
    pub label: &'static str,
    /// What stands in it while it is empty.
    pub example: &'static str,
    /// How it is filled in.
    pub input: Input,
    /// Whether it has to be.
    pub required: bool,
}

impl Field {
    /// A field that has to be filled in with words.
    pub const fn text(name: &'static str, label: &'static str, example: &'static str) -> Self {
        Self { name, label, example, input: Input::Text, required: true }
    }

    /// The same, filled in otherwise.
    #[must_use]
    pub fn of(self, input: Input) -> Self {
        Self { input, ..self }
    }

    /// The same, which may be left empty.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

/// A form.
#[derive(Debug, Clone)]
pub struct Form {
    /// What stands over it.
    pub title: &'static str,
    /// Where it goes.
    pub action: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// What stands on its button.
    pub submit: &'static str,
}

/// A table of things.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// What stands over it; nothing for the only one of a page.
    pub title: &'static str,
    /// What stands over the columns.
    pub columns: Vec<&'static str>,
    /// The things.
    pub rows: Vec<Row>,
    /// What is said where there is none.
    pub empty: &'static str,
}

impl Listing {
    fn has_buttons(&self) -> bool {
        self.rows.iter().any(|row| !row.buttons.is_empty() || !row.links.is_empty())
    }
}

/// Something that is shown this once.
#[derive(Debug, Clone)]
pub struct Revealed {
    /// What it is.
    pub label: String,
    /// The secret.
    pub secret: String,
}

/// A page of the settings.
#[derive(Debug, Template)]
#[template(path = "listing.html")]
pub struct ListingPage<'a> {
    /// Around it.
    pub layout: &'a Layout,
    /// The time.
    pub now: Timestamp,
    /// Which part of the settings it is.
    pub section: Section,
    /// Whether whoever looks is an administrator.
    pub is_admin: bool,
    /// The tables.
    pub listings: &'a [Listing],
    /// The forms.
    pub forms: &'a [Form],
    /// Something that was made and is not shown again.
    pub revealed: Option<Revealed>,
    /// The address of the next page.
    pub next: Option<String>,
}

impl ListingPage<'_> {
    fn tabs(&self) -> impl Iterator<Item = Section> {
        Section::ALL.into_iter().filter(|section| self.is_admin || !section.is_for_admins())
    }
}
