//! The form that a repository wants of changes: its template for pull requests, and its convention for commits.

use patchwright_domain::job::report::ChangeForm;

use crate::repository::Repository;

/// Where templates for pull requests lie, first match first
/// (<https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/creating-a-pull-request-template-for-your-repository>).
const TEMPLATES: [&str; 9] = [
    ".github/pull_request_template.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    "pull_request_template.md",
    "PULL_REQUEST_TEMPLATE.md",
    "docs/pull_request_template.md",
    "docs/PULL_REQUEST_TEMPLATE.md",
    ".gitcode/PULL_REQUEST_TEMPLATE.md",
    ".gitee/PULL_REQUEST_TEMPLATE.md",
    ".gitea/PULL_REQUEST_TEMPLATE.md",
];
/// Files that only a repository with conventional commits has (<https://www.conventionalcommits.org>).
const COMMIT_LINTERS: [&str; 10] = [
    "commitlint.config.js",
    "commitlint.config.cjs",
    "commitlint.config.mjs",
    "commitlint.config.ts",
    ".commitlintrc",
    ".commitlintrc.json",
    ".commitlintrc.yml",
    ".commitlintrc.yaml",
    ".commitlintrc.js",
    ".cz.toml",
];
/// Files that may say it.
const GUIDES: [&str; 4] = ["CONTRIBUTING.md", ".github/CONTRIBUTING.md", "AGENTS.md", "CONTRIBUTING.rst"];
/// The longest template that is filled in, in characters.
const MAX_TEMPLATE: usize = 4_000;

/// Reads the form from the files of the base.
pub(crate) fn read_form(repository: &Repository) -> ChangeForm {
    let template = TEMPLATES.iter().find_map(|path| repository.read(path));
    let template = template.filter(|text| !text.trim().is_empty() && text.chars().count() <= MAX_TEMPLATE);
    ChangeForm { is_conventional: is_conventional(repository), template }
}

fn is_conventional(repository: &Repository) -> bool {
    if COMMIT_LINTERS.iter().any(|path| repository.contains(path)) {
        return true;
    }
    let mentions = |path: &&str, words: &[&str]| {
        let text = repository.read(path).unwrap_or_default().to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    GUIDES.iter().any(|path| mentions(path, &["conventional commit", "conventionalcommits.org"]))
        || mentions(&"package.json", &["\"commitlint\"", "config-conventional"])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::tests::tree_of;

    fn form(files: &[(&str, &str)]) -> ChangeForm {
        read_form(&Repository::open(Arc::new(tree_of(files))))
    }

    #[test]
    fn the_form_is_read_from_what_the_repository_says() {
        assert_eq!(form(&[("README.md", "x")]), ChangeForm::default());
        let found = form(&[
            (".github/PULL_REQUEST_TEMPLATE.md", "## Description\n"),
            ("CONTRIBUTING.md", "We use [Conventional Commits](https://www.conventionalcommits.org)."),
        ]);
        assert_eq!(found, ChangeForm { is_conventional: true, template: Some("## Description\n".to_owned()) });
        assert!(form(&[("commitlint.config.js", "")]).is_conventional);
        assert!(
            form(&[("package.json", r#"{"commitlint": {"extends": ["@commitlint/config-conventional"]}}"#)])
                .is_conventional
        );
    }
}
