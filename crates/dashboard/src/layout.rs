//! The layout around every page.

use jiff::Timestamp;

use crate::assets;
use crate::time::ago;
use crate::translations::{Language, Translations};

/// The color theme of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// The theme of the user's system.
    #[default]
    Auto,
    /// The light theme.
    Light,
    /// The dark theme.
    Dark,
}

impl Theme {
    /// All themes.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// Returns the code in cookies.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Parses the result of [`Self::code`].
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.code() == code)
    }

    /// Returns the name of the theme.
    pub const fn name(self, words: &Translations) -> &'static str {
        match self {
            Self::Auto => words.theme_auto,
            Self::Light => words.theme_light,
            Self::Dark => words.theme_dark,
        }
    }
}

/// The user who views a page.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The login.
    pub login: String,
    /// The CSRF token of the session; `None` without a session.
    pub csrf: Option<String>,
}

/// The layout around every page.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The language.
    pub language: Language,
    /// The theme.
    pub theme: Theme,
    /// The viewer.
    pub viewer: Option<Viewer>,
    /// The page's own path and query, to return to.
    pub path: String,
    /// Whether the model's answers are a recording, which every page says.
    pub is_recorded: bool,
}

impl Layout {
    /// Creates the layout of a page without a login.
    pub fn new(language: Language, theme: Theme, path: impl Into<String>) -> Self {
        Self { language, theme, viewer: None, path: path.into(), is_recorded: false }
    }

    /// Sets the viewer.
    #[must_use]
    pub fn seen_by(self, viewer: Viewer) -> Self {
        Self { viewer: Some(viewer), ..self }
    }

    /// Sets the page's path.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Returns the texts in the page's language.
    pub const fn translations(&self) -> &'static Translations {
        self.language.translations()
    }

    /// Formats how long ago a time was.
    pub fn ago(&self, at: &Timestamp, now: &Timestamp) -> String {
        ago(*at, *now, self.language)
    }

    /// Formats how long ago a time was, to the second.
    pub fn ago_exactly(&self, at: &Timestamp, now: &Timestamp) -> String {
        let seconds = now.duration_since(*at).as_secs().max(0);
        match (seconds, self.language) {
            (60.., _) => self.ago(at, now),
            (_, Language::English) => format!("{seconds} s ago"),
            (_, Language::Chinese) => format!("{seconds} 秒前"),
        }
    }

    /// Returns the URL of an asset.
    pub fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// Returns whether somebody is logged in, and not the operator of this machine.
    pub fn has_session(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.csrf.is_some())
    }

    /// Returns the CSRF token for forms.
    pub fn csrf(&self) -> &str {
        self.viewer.as_ref().and_then(|viewer| viewer.csrf.as_deref()).unwrap_or_default()
    }

    /// Returns the links of the navigation, each with its URL and name.
    pub const fn places(&self) -> [(&'static str, &'static str); 5] {
        let words = self.translations();
        [
            ("/issues", words.issues),
            ("/jobs", words.jobs),
            ("/board", words.board),
            ("/statistics", words.statistics),
            ("/settings", words.settings),
        ]
    }

    /// Returns the languages of the switch.
    pub const fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    /// Returns the themes of the switch.
    pub const fn themes(&self) -> [Theme; 3] {
        Theme::ALL
    }
}
