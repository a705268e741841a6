//! The files that no job may change: those that run code on a developer's or a CI machine without being asked to, that
//! grant rights, that pin dependencies, or that hold secrets.

use serde::{Deserialize, Serialize};

use crate::RepoPath;

/// Folders, at any depth, whose content is protected.
const FOLDERS: &[(&str, &[&str])] = &[
    (
        CI,
        &[
            ".github",
            ".gitcode",
            ".gitea",
            ".forgejo",
            ".gitlab",
            ".gitee",
            ".circleci",
            ".buildkite",
            ".woodpecker",
            ".drone",
            ".tekton",
            ".teamcity",
            ".azure-pipelines",
            ".semaphore",
            ".harness",
            ".travis",
            ".jenkins",
            ".bitbucket",
            ".argocd",
            ".zuul.d",
            "zuul.d",
            ".builds",
            ".workflow",
            ".codefresh",
        ],
    ),
    (HOOKS, &[".husky", ".githooks", ".git-hooks", ".hooks", ".lefthook", ".lefthook-local", ".overcommit"]),
    (
        TOOLS,
        &[
            ".claude",
            ".cursor",
            ".gemini",
            ".codex",
            ".aider",
            ".continue",
            ".windsurf",
            ".roo",
            ".cline",
            ".clinerules",
            ".kiro",
            ".amazonq",
            ".qoder",
            ".trae",
            ".augment",
            ".openhands",
            ".opencode",
            ".junie",
            ".goose",
            ".agents",
            ".agent",
            ".vscode",
            ".idea",
            ".zed",
            ".fleet",
            ".vs",
            ".devcontainer",
            ".cargo",
            ".bundle",
            ".mvn",
            ".yarn",
            ".direnv",
            ".config/mise",
            ".mise",
            ".gradle",
        ],
    ),
];

/// Names of files at any depth, in lower case. A `*` at the end or the start stands for the rest of the name.
const NAMES: &[(&str, &[&str])] = &[
    (
        CI,
        &[
            ".gitlab-ci*",
            "jenkinsfile*",
            ".travis*",
            "azure-pipelines*",
            ".azure-pipelines*",
            ".drone*",
            ".woodpecker*",
            "bitbucket-pipelines*",
            ".cirrus*",
            "appveyor*",
            ".appveyor*",
            "buildspec*",
            "cloudbuild*",
            "codefresh*",
            "wercker*",
            ".semaphore*",
            ".zuul*",
            ".build.yml",
            ".build.yaml",
            "buildkite*",
            ".buildkite*",
            "skaffold*",
            "tekton*",
            "renovate.json*",
            ".renovaterc*",
            "dependabot.yml",
            "mergify.yml",
            ".mergify.yml",
            "bors.toml",
            ".bors.toml",
            "vercel.json",
            "netlify.toml",
        ],
    ),
    (RIGHTS, &["codeowners", "owners", "owners_aliases", "maintainers.yml", ".sops*", ".gitguardian*"]),
    (
        HOOKS,
        &[
            ".gitattributes",
            ".gitmodules",
            ".gitconfig",
            ".pre-commit*",
            "lefthook*",
            ".lefthook*",
            ".overcommit*",
            ".huskyrc*",
            ".lintstagedrc*",
            "lint-staged.config.*",
            "captainhook*",
            "grumphp*",
        ],
    ),
    (
        TOOLS,
        &[
            "agents.md",
            "agents.override.md",
            "claude.md",
            "claude.local.md",
            "gemini.md",
            "copilot-instructions.md",
            ".mcp.json",
            "mcp.json",
            ".cursorrules",
            ".cursorignore",
            ".windsurfrules",
            ".clinerules",
            ".roomodes",
            ".aider*",
            ".goosehints",
            ".envrc",
            ".tool-versions",
            "mise.toml",
            ".mise.toml",
            ".nvmrc",
            ".npmrc",
            ".yarnrc*",
            ".pnpmfile.*",
            ".pypirc",
            ".netrc",
            "_netrc",
            "pip.conf",
            ".condarc",
            ".bunfig.toml",
            "bunfig.toml",
            ".patchwright.toml",
            "nuget.config",
            "rust-toolchain",
            "rust-toolchain.toml",
            ".ruby-version",
            ".python-version",
            ".devcontainer.json",
            "sitecustomize.py",
            "usercustomize.py",
            "*.code-workspace",
        ],
    ),
    (
        LOCKS,
        &[
            "*.lock",
            "*.lock.json",
            "*-lock.json",
            "*-lock.yaml",
            "*-lock.yml",
            "*.lockb",
            "*.lockfile",
            "go.sum",
            "go.work.sum",
            "npm-shrinkwrap.json",
            "*.lock.hcl",
            ".terraform.lock.hcl",
            "package.resolved",
            "podfile.lock",
            "pdm.lock",
            "gradle-wrapper.properties",
            "gradle-wrapper.jar",
            "maven-wrapper.jar",
            "maven-wrapper.properties",
        ],
    ),
    (
        SECRETS,
        &[
            ".env",
            ".env.*",
            "*.pem",
            "*.key",
            "*.p12",
            "*.pfx",
            "*.keystore",
            "*.jks",
            "*.kdbx",
            "*.ppk",
            "id_rsa*",
            "id_ed25519*",
            "id_ecdsa*",
            ".htpasswd",
            ".pgpass",
            ".my.cnf",
            "credentials.json",
            ".dockercfg",
        ],
    ),
];

/// Names that the patterns above match and that are ordinary.
const ORDINARY: &[&str] = &[".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults"];

const CI: &str = "it belongs to the CI configuration";
const RIGHTS: &str = "it decides who may approve changes";
const HOOKS: &str = "it makes git run programs";
const TOOLS: &str = "it configures tools, editors or agents, which act on it without being asked";
const LOCKS: &str = "it pins dependencies";
const SECRETS: &str = "it may hold secrets";

/// Returns why a path (in the repository's spelling) is protected; `None` for an ordinary one. Case is ignored, because
/// some file systems do.
pub(crate) fn protection(path: &str) -> Option<&'static str> {
    let path = path.to_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let inside = |folder: &str| {
        let mut rest = folders;
        while let Some(at) = rest.find(folder) {
            let (before, after) = (&rest[..at], &rest[at + folder.len()..]);
            if (before.is_empty() || before.ends_with('/')) && (after.is_empty() || after.starts_with('/')) {
                return true;
            }
            rest = after;
        }
        false
    };
    if let Some((why, _)) = FOLDERS.iter().find(|(_, known)| known.iter().any(|folder| inside(folder))) {
        return Some(why);
    }
    // A symbolic link or a submodule may have the name of a protected folder.
    if let Some((why, _)) = FOLDERS.iter().find(|(_, known)| known.contains(&name)) {
        return Some(why);
    }
    if ORDINARY.contains(&name) {
        return None;
    }
    NAMES.iter().find(|(_, known)| known.iter().any(|pattern| matches(pattern, name))).map(|(why, _)| *why)
}

/// Settings of tools in which people write passwords and tokens.
const WITH_TOKENS: &[&str] = &[
    ".npmrc",
    ".pypirc",
    ".netrc",
    "_netrc",
    ".yarnrc.yml",
    ".yarnrc",
    ".envrc",
    "auth.json",
    "pip.conf",
    "nuget.config",
    "credentials.toml",
    ".git-credentials",
];

/// Returns whether a path (in the repository's spelling) may be that of a file with secrets, whatever else protects it.
pub(crate) fn may_hold_secrets(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let secrets = NAMES.iter().filter(|(why, _)| *why == SECRETS).flat_map(|(_, known)| known.iter());
    !ORDINARY.contains(&name.as_str())
        && (WITH_TOKENS.contains(&name.as_str()) || secrets.into_iter().any(|pattern| matches(pattern, &name)))
}

/// The protected files that jobs may change after all, because the operator said so: patterns of paths, without case.
///
/// A pattern without `/` is the name of a file in any folder, a pattern that ends with `/` is a folder with all that is in
/// it, and `*` stands for any characters: `package-lock.json`, `.github/ISSUE_TEMPLATE/`, `deploy/*.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EditablePaths(Vec<String>);

impl EditablePaths {
    /// Creates the list from patterns. Empty ones are left out.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        let patterns = patterns.into_iter().map(|pattern| pattern.as_ref().trim().to_lowercase());
        Self(patterns.filter(|pattern| !pattern.is_empty()).collect())
    }

    /// Returns the reason why a job must not change the file; `None` if it is ordinary or on the list.
    pub fn protection(&self, path: &RepoPath) -> Option<&'static str> {
        let reason = path.protection()?;
        let path = path.as_str().to_lowercase();
        let is_listed = |pattern: &String| match pattern.strip_suffix('/') {
            Some(folder) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            None if pattern.contains('/') => matches_glob(pattern.trim_start_matches('/'), &path),
            None => matches_glob(pattern, path.rsplit('/').next().unwrap_or(&path)),
        };
        (!self.0.iter().any(is_listed)).then_some(reason)
    }
}

/// Returns whether a text has the form of a pattern with any number of `*`.
fn matches_glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

fn matches(pattern: &str, name: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        return name.ends_with(end);
    }
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a7_what_runs_or_grants_something_is_protected_anywhere() {
        for path in [
            ".github/workflows/ci.yml",
            "sub/.GitHub/workflows/x.yml",
            ".gitea/workflows/a.yml",
            ".forgejo/workflows/a.yml",
            "bitbucket-pipelines.yml",
            ".woodpecker.yml",
            ".woodpecker/test.yml",
            ".drone.yml",
            ".drone.jsonnet",
            "Jenkinsfile",
            "ci/Jenkinsfile.release",
            "azure-pipelines.yml",
            "azure-pipelines-pr.yml",
            ".tekton/push.yaml",
            ".gitlab-ci.yml",
            "CODEOWNERS",
            "docs/CODEOWNERS",
            ".npmrc",
            "web/.npmrc",
            ".pypirc",
            ".netrc",
            ".cargo/config.toml",
            "sub/.cargo/config",
            ".envrc",
            ".githooks/pre-commit",
            "lefthook.yml",
            "lefthook-local.yml",
            ".pre-commit-config.yaml",
            ".pre-commit-hooks.yaml",
            ".idea/workspace.xml",
            ".zed/tasks.json",
            ".vscode/tasks.json",
            ".claude/settings.json",
            ".codex/config.toml",
            ".aider.conf.yml",
            ".windsurfrules",
            ".clinerules",
            "AGENTS.md",
            "sub/CLAUDE.md",
            ".mcp.json",
            "Cargo.lock",
            "poetry.lock",
            "web/package-lock.json",
            "pnpm-lock.yaml",
            "bun.lockb",
            "bun.lock",
            "go.sum",
            "flake.lock",
            "packages.lock.json",
            ".terraform.lock.hcl",
            ".env",
            ".env.production",
            "certs/a.pem",
            "id_rsa",
            ".gitattributes",
            ".gitmodules",
            ".husky/pre-push",
            ".github",
            ".vscode",
            "gradle/wrapper/gradle-wrapper.properties",
            ".patchwright.toml",
            ".yarn/releases/yarn.cjs",
        ] {
            assert!(protection(path).is_some(), "{path} is open");
        }
    }

    #[test]
    fn a_file_with_secrets_is_one_in_every_folder_and_under_every_rule() {
        for path in [
            ".env",
            "a/.env.production",
            ".devcontainer/.env",
            ".github/deploy.key",
            ".gradle/x.keystore",
            ".env.lock",
            ".npmrc",
            "web/.Netrc",
            "pip.conf",
            ".cargo/credentials.toml",
        ] {
            assert!(may_hold_secrets(path), "{path}");
        }
        for path in [".env.example", "src/key.rs", "environment.py", ".github/workflows/ci.yml", "poetry.lock"] {
            assert!(!may_hold_secrets(path), "{path}");
        }
    }

    #[test]
    fn fault_a7_an_operator_may_open_files() {
        let open = EditablePaths::new(["Cargo.lock", " .github/ISSUE_TEMPLATE/ ", "deploy/*.lo*k", "", "web/.npmrc"]);
        let is_open = |path: &str| open.protection(&RepoPath::parse(path).unwrap()).is_none();
        for path in
            ["Cargo.lock", "tools/cargo.lock", ".github/issue_template/bug.yml", "deploy/a/b.lock", "web/.npmrc"]
        {
            assert!(is_open(path), "{path}");
        }
        for path in ["yarn.lock", ".github/workflows/ci.yml", ".npmrc", "x/web/.npmrc", ".github/ISSUE_TEMPLATES"] {
            assert!(!is_open(path), "{path}");
        }
        assert!(EditablePaths::default().protection(&RepoPath::parse("src/lib.rs").unwrap()).is_none());
        assert!(EditablePaths::new(["*"]).protection(&RepoPath::parse(".github/workflows/ci.yml").unwrap()).is_none());
    }

    #[test]
    fn fault_a7_ordinary_files_are_open() {
        for path in [
            "src/lock.rs",
            "src/main.rs",
            "README.md",
            "environment.py",
            "src/github/mod.rs",
            "docs/github.md",
            ".env.example",
            "src/owners.rs",
            "tests/key.py",
            "keys.py",
            "src/drone.rs",
            "packages/idea/index.ts",
            "config.toml",
            "Makefile",
            "package.json",
            "Dockerfile",
            ".gitignore",
            "src/.hidden/x.rs",
            "cargo/config.rs",
        ] {
            assert_eq!(protection(path), None, "{path} is closed");
        }
    }
}
