//! What every page has around it.

use jiff::Timestamp;

use crate::assets;
use crate::time::ago;
use crate::translations::{Language, Translations};

/// How light the pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system of the person.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// Its code in cookies.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads [`Self::code`] back.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.code() == code)
    }

    /// What it is called.
    pub const fn name(self, words: &Translations) -> &'static str {
        match self {
            Self::Auto => words.theme_auto,
            Self::Light => words.theme_light,
            Self::Dark => words.theme_dark,
        }
    }
}

/// Who looks.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Their login.
    pub login: String,
    /// What forms of their session carry; none for whoever looks without one.
    pub csrf: Option<String>,
}

/// What every page has around it.
#[derive(Debug, Clone)]
pub struct Layout {
    /// In which language.
    pub language: Language,
    /// How light.
    pub theme: Theme,
    /// For whom.
    pub viewer: Option<Viewer>,
    /// The page's own path with its query, to come back to.
    pub path: String,
}

impl Layout {
    /// A page that nobody is logged in on.
    pub fn new(language: Language, theme: Theme, path: impl Into<String>) -> Self {
        Self { language, theme, viewer: None, path: path.into() }
    }

    /// The same for somebody who is known.
    #[must_use]
    pub fn seen_by(self, viewer: Viewer) -> Self {
        Self { viewer: Some(viewer), ..self }
    }

    /// The same around another page.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The words of the page.
    pub const fn translations(&self) -> &'static Translations {
        self.language.translations()
    }

    /// How long ago something was.
    pub fn ago(&self, at: &Timestamp, now: &Timestamp) -> String {
        ago(*at, *now, self.language)
    }

    /// The same to the second: for what somebody waits for.
    pub fn ago_exactly(&self, at: &Timestamp, now: &Timestamp) -> String {
        let seconds = now.duration_since(*at).as_secs().max(0);
        match (seconds, self.language) {
            (60.., _) => self.ago(at, now),
            (_, Language::English) => format!("{seconds} s ago"),
            (_, Language::Chinese) => format!("{seconds} 秒前"),
        }
    }

    /// The address of an asset.
    pub fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// What forms carry.
    pub fn csrf(&self) -> &str {
        self.viewer.as_ref().and_then(|viewer| viewer.csrf.as_deref()).unwrap_or_default()
    }

    /// Where else there is something to see: address and name.
    pub const fn places(&self) -> [(&'static str, &'static str); 4] {
        let words = self.translations();
        [
            ("/issues", words.issues),
            ("/board", words.board),
            ("/statistics", words.statistics),
            ("/settings", words.settings),
        ]
    }

    /// The languages, for the switch.
    pub const fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    /// The themes, for the switch.
    pub const fn themes(&self) -> [Theme; 3] {
        Theme::ALL
    }
}
