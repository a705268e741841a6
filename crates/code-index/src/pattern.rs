//! Regular expressions that are made once.

/// A static expression under a name.
macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new($text).expect("the pattern is right"));
    };
}

pub(crate) use pattern;
