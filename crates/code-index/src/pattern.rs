//! Regular expressions that are compiled once.

/// Defines a static regular expression.
macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new($text).expect("the pattern is valid"));
    };
}

pub(crate) use pattern;
