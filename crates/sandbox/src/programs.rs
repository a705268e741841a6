//! The programs that commands find: those of this machine, or those of a container image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::isolation::self_test::find_program;

/// The programs whose presence decides how a suite is run or its packages are fetched.
pub(crate) const ASKED: &[&str] = &[
    "bun", "cargo", "cmake", "ctest", "dotnet", "go", "gradle", "make", "mvn", "node", "npm", "php", "pip", "pnpm",
    "python3", "rake", "rspec", "ruby", "uv", "yarn",
];

/// The programs that commands find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Those of this machine: a `PATH`, and variables of tool chains.
    Machine { path: String, env: BTreeMap<String, String> },
    /// Those of an image: its `PATH`, and which of [`ASKED`] it has.
    Image { image: String, path: String, found: BTreeSet<String> },
}

impl Programs {
    /// Returns what an image has, from the output of [`probe_script`].
    pub(crate) fn of_image(image: &str, output: &str) -> Option<Self> {
        let mut lines = output.lines().map(str::trim);
        let path = lines.find_map(|line| line.strip_prefix("PATH="))?.to_owned();
        let found = lines.filter(|line| ASKED.contains(line)).map(str::to_owned).collect();
        Some(Self::Image { image: image.to_owned(), path, found })
    }

    /// Returns the `PATH`.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Machine { path, .. } | Self::Image { path, .. } => path,
        }
    }

    /// Returns the variables that tool chains need.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        match self {
            Self::Machine { env, .. } => env.clone(),
            Self::Image { .. } => BTreeMap::new(),
        }
    }

    /// Returns the image, if there is one.
    pub(crate) fn image(&self) -> Option<&str> {
        match self {
            Self::Machine { .. } => None,
            Self::Image { image, .. } => Some(image),
        }
    }

    /// Returns whether a program of [`ASKED`] is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Machine { path, .. } => find_program(path, name).is_some(),
            Self::Image { found, .. } => found.contains(name),
        }
    }

    /// Returns a program as it is started, searched in `first` before all others; `None` if it is not there.
    pub(crate) fn locate(&self, first: &str, name: &str) -> Option<PathBuf> {
        match self {
            Self::Machine { path, .. } => find_program(first, name).or_else(|| find_program(path, name)),
            // Whoever starts it searches in the image's folders, which this machine does not see.
            Self::Image { .. } => Some(name.into()),
        }
    }
}

/// Returns the script that prints what an image has.
pub(crate) fn probe_script() -> String {
    format!(
        "echo \"PATH=$PATH\"; for name in {}; do command -v \"$name\" >/dev/null 2>&1 && echo \"$name\"; done; true",
        ASKED.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_asked_what_it_has() {
        let programs = Programs::of_image("img", "noise\nPATH=/opt/bin:/bin\nnode\nnpm\nsomething else\n").unwrap();
        assert!(programs.has("npm") && !programs.has("cargo") && programs.image() == Some("img"));
        assert_eq!((programs.path(), programs.locate("", "npm")), ("/opt/bin:/bin", Some("npm".into())));
        assert_eq!(Programs::of_image("img", "sh: not found"), None);
    }
}
