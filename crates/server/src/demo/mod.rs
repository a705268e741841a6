//! The demonstration's repository, issue and recorded answers. The bug, the failing test and the test run are real;
//! only the model's answers are recorded.

mod repository;

pub(crate) use repository::LocalDemo;

/// The repository, `owner/name`.
pub(crate) const REPOSITORY: &str = "demo/tally";

/// The files of its first commit.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("repository/Cargo.toml.txt")),
    ("README.md", include_str!("repository/README.md")),
    ("src/lib.rs", include_str!("repository/lib.rs.txt")),
    ("src/money.rs", include_str!("repository/money.rs.txt")),
    ("src/split.rs", include_str!("repository/split.rs.txt")),
    ("tests/split.rs", include_str!("repository/split_test.rs.txt")),
];

/// The title.
pub(crate) const TITLE: &str = "Splitting a bill loses cents";

/// The text.
pub(crate) const BODY: &str = "`split_evenly` does not add up. Splitting 100 cents between 3 people gives 33 + 33 + 33 = 99, \
so one cent is gone.\n\nExpected: the shares always add up to the total, and differ by one cent at the most: 34 + 33 + 33.";

/// The name that stands in for that of a model, on all pages and in pull requests.
pub(crate) const MODEL: &str = "recorded answers";

/// The model's answers, recorded.
pub(crate) const RECORDED: &str = include_str!("recorded.jsonl");
