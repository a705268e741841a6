//! The language and the kind of a file, by its path.

/// A language, as far as its files are scanned differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    Python,
    Rust,
    Go,
    JavaScript,
    TypeScript,
    Java,
    /// C and C++.
    C,
    CSharp,
    Ruby,
    Php,
    /// Code of another language.
    Other,
}

const EXTENSIONS: &[(Language, &[&str])] = &[
    (Language::Python, &["py", "pyx", "pxd", "pyi"]),
    (Language::Rust, &["rs"]),
    (Language::Go, &["go"]),
    (Language::JavaScript, &["js", "jsx", "mjs", "cjs", "vue", "svelte"]),
    (Language::TypeScript, &["ts", "tsx"]),
    (Language::Java, &["java", "kt", "scala"]),
    (Language::C, &["c", "h", "cc", "cpp", "hpp", "cxx", "hh", "cu", "m", "mm"]),
    (Language::CSharp, &["cs"]),
    (Language::Ruby, &["rb"]),
    (Language::Php, &["php"]),
    (
        Language::Other,
        &[
            "swift", "dart", "lua", "sh", "pl", "pm", "ex", "exs", "erl", "hs", "ml", "clj", "r", "jl", "f90", "f",
            "sql",
        ],
    ),
];

impl Language {
    /// Returns the language of a file by its extension; `None` for files that are not code.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        let (_, extension) = name.rsplit_once('.')?;
        let extension = extension.to_ascii_lowercase();
        EXTENSIONS.iter().find(|(_, known)| known.contains(&extension.as_str())).map(|(language, _)| *language)
    }

    /// Returns whether methods are declared without a keyword.
    pub(crate) const fn has_typed_methods(self) -> bool {
        matches!(self, Self::Java | Self::CSharp | Self::TypeScript | Self::JavaScript | Self::Other)
    }
}

/// Returns whether a file is source code of a known language, by its extension.
pub fn is_source(path: &str) -> bool {
    Language::of(path).is_some()
}

/// Returns whether a file is documentation, by its extension.
pub(crate) fn is_prose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    [".md", ".rst", ".txt", ".adoc"].iter().any(|extension| name.ends_with(extension))
}

/// Folders whose files are tests.
const TEST_FOLDERS: &[&str] = &["tests", "__tests__", "testdata", "test_data", "testsuite"];
/// Folders whose files are rarely the cause of an issue.
const AUXILIARY_FOLDERS: &[&str] = &[
    "doc",
    "docs",
    "documentation",
    "example",
    "examples",
    "galleries",
    "tutorials",
    "benchmark",
    "benchmarks",
    "asv_bench",
    "asv_benchmarks",
    "bench",
    ".github",
    "build_tools",
    "maint_tools",
    "cextern",
    "extern",
    "externals",
    "_vendor",
    "vendor",
    "third_party",
    "node_modules",
    "locale",
    "generated",
];

/// The same, at the top of a repository; deeper, they are parts of the product.
const AUXILIARY_AT_TOP: &[&str] = &["tools", "scripts", "release", "extra", "extras", "ci", "dist", "build"];

/// Returns whether a file is a test, by its folder and name.
pub fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut parts = folders.split('/');
    let first = parts.next().unwrap_or_default();
    if matches!(first, "test" | "testing" | "spec") || folders.split('/').any(|part| TEST_FOLDERS.contains(&part)) {
        return true;
    }
    // The convention of Maven and Gradle.
    if folders.contains("src/test/") || folders.ends_with("src/test") {
        return true;
    }
    let stem = name.split('.').next().unwrap_or_default();
    name.starts_with("test_")
        || matches!(name, "conftest.py" | "tests.py")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || name.contains(".test.")
        || name.contains(".spec.")
}

/// Returns whether a file is documentation, an example, a tool or vendored, by its folder and name.
pub(crate) fn is_auxiliary(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let first = folders.split('/').next().unwrap_or_default();
    // Written once by a program: `0001_initial.py`, `20240131_add_users.rb`.
    let is_migration =
        || folders.split('/').any(|part| part == "migrations") && name.starts_with(|c: char| c.is_ascii_digit());
    matches!(path, "setup.py" | "conf.py")
        || name.ends_with(".min.js")
        || AUXILIARY_AT_TOP.contains(&first)
        || folders.split('/').any(|part| AUXILIARY_FOLDERS.contains(&part))
        || is_migration()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_classified_by_their_paths() {
        assert_eq!(Language::of("a/b.PY"), Some(Language::Python));
        assert_eq!(Language::of("src/x.tsx"), Some(Language::TypeScript));
        assert_eq!((Language::of("README.md"), Language::of("Makefile")), (None, None));
        for test in
            ["tests/a.py", "x/tests/a.py", "a/test_b.py", "a/b_test.go", "a/b.spec.ts", "core/src/test/java/A.java"]
        {
            assert!(is_test(test), "{test}");
        }
        for code in ["src/testing_tools.py", "django/test/client.py", "a/contest.py", "src/latest.rs"] {
            assert!(!is_test(code), "{code}");
        }
        for auxiliary in
            ["docs/conf.py", "a/migrations/0001_initial.py", "tools/lint.py", ".github/ISSUE_TEMPLATE/bug.md"]
        {
            assert!(is_auxiliary(auxiliary), "{auxiliary}");
        }
        for code in ["a/document.py", "django/db/migrations/autodetector.py", "src/build/mod.rs", "app/tools/lint.py"] {
            assert!(!is_auxiliary(code), "{code}");
        }
    }
}
