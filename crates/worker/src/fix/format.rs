//! The repository's own formatter, run over the changed files in the sandbox. A file whose base it would change is left alone: a
//! change does not format what it does not touch.

use patchwright_core::sandbox::{SandboxError, Selection, Suite, SuiteSettings};
use patchwright_core::untrusted_tree::read_below;
use patchwright_domain::RepoPath;

use super::draft::{Draft, EditRules};
use super::evidence::{TREE, check, prepare};
use crate::context::{StageContext, StageError};
use crate::edit::decode;
use crate::repository::Repository;
use crate::verification::reproduction::{SCRIPT_SCRATCH, write_own};

/// The folder of the bases and of the script in the tree.
const FOLDER: &str = ".patchwright_format";

/// Formats the files of a draft, where the repository has a formatter that is installed. Whatever fails leaves the draft as it is.
pub(crate) async fn format(
    context: &StageContext<'_>,
    draft: &mut Draft,
    rules: &EditRules<'_>,
) -> Result<(), StageError> {
    let commands: Vec<(RepoPath, String)> = draft
        .paths()
        .into_iter()
        .filter(|path| draft.read(path.as_str(), context.repository).is_some())
        .filter_map(|path| Some((path.clone(), command_of(&path, context.repository)?)))
        .collect();
    if commands.is_empty() {
        return Ok(());
    }
    context.progress.set_activity("formatting the changed files");
    match run(context, draft, &commands).await {
        Ok(()) => {}
        Err(error @ (SandboxError::Cancelled | SandboxError::Internal { .. })) => return Err(error.into()),
        Err(error) => {
            tracing::info!(%error, "failed to run the formatter");
            return Ok(());
        }
    }
    let tree = context.scratch.join(TREE);
    for (path, _) in &commands {
        let bytes = read_below(&tree, std::path::Path::new(path.as_str()), super::draft::MAX_FILE_BYTES as u64);
        let Some(text) = bytes.ok().and_then(|bytes| decode(&bytes).ok()) else { continue };
        if let Err(problem) = draft.replace(path, text.text, rules) {
            tracing::info!(file = %path, problem, "the formatter's text is not used");
        }
    }
    Ok(())
}

/// Runs the formatters in the draft's tree.
async fn run(context: &StageContext<'_>, draft: &Draft, commands: &[(RepoPath, String)]) -> Result<(), SandboxError> {
    let changed: Vec<RepoPath> = commands.iter().map(|(path, _)| path.clone()).collect();
    let suite = prepare(context, draft, &changed).await?.into_iter().next().ok_or(SandboxError::NoTests)?;
    let tree = context.scratch.join(TREE);
    for (number, (path, _)) in commands.iter().enumerate() {
        if let Some(base) = context.repository.bytes(path.as_str()) {
            write_own(&tree, FOLDER, &number.to_string(), &base)?;
        }
    }
    write_own(&tree, FOLDER, "run.sh", script(commands).as_bytes())?;
    // The suite may be in a folder; paths are those of the tree.
    let up = "../".repeat(suite.folder.split('/').filter(|part| !part.is_empty()).count());
    let settings = SuiteSettings { test: Some(format!("cd ./{up} && sh {FOLDER}/run.sh")), ..SuiteSettings::default() };
    check(context, Suite { settings: Some(settings), ..suite }, Selection::All, SCRIPT_SCRATCH).await.map(|_| ())
}

/// Returns the script: each file is formatted if its base stays as it is when it is formatted, or if it is new.
fn script(commands: &[(RepoPath, String)]) -> String {
    let mut out = String::new();
    for (number, (path, command)) in commands.iter().enumerate() {
        let (file, base) = (quoted(path.as_str()), format!("{FOLDER}/{number}"));
        out.push_str(&format!(
            "cp {file} {base}.new\n\
             if [ -f {base} ]; then cp {base} {file}; {command} {file}; cmp -s {base} {file}; same=$?; else same=0; fi\n\
             cp {base}.new {file}\n\
             if [ $same = 0 ]; then {command} {file} || cp {base}.new {file}; fi\n"
        ));
    }
    out.push_str("exit 0\n");
    out
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns the command that formats a file in place, if the repository uses one for its language.
fn command_of(path: &RepoPath, repository: &Repository) -> Option<String> {
    let text = |path: &str| repository.read(path).unwrap_or_default();
    match path.extension()? {
        "rs" => Some(format!("rustfmt --quiet --edition {}", edition_of(path, repository))),
        "go" => Some("gofmt -w".to_owned()),
        "py" | "pyi" => {
            let (project, hooks) = (text("pyproject.toml"), text(".pre-commit-config.yaml"));
            if project.contains("[tool.ruff.format]") || hooks.contains("ruff-format") {
                Some("ruff format --quiet".to_owned())
            } else if project.contains("[tool.black]") || hooks.contains("psf/black") {
                Some("python3 -m black --quiet".to_owned())
            } else {
                None
            }
        }
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "css" | "vue" => {
            let manifest: serde_json::Value = serde_json::from_str(&text("package.json")).ok()?;
            let uses = |kind: &str| manifest.get(kind).is_some_and(|packages| packages.get("prettier").is_some());
            (uses("devDependencies") || uses("dependencies"))
                .then(|| "node_modules/.bin/prettier --log-level silent --write".to_owned())
        }
        _ => None,
    }
}

/// Returns the edition of the package of a file, as far as its manifest or that of the workspace says it.
fn edition_of(path: &RepoPath, repository: &Repository) -> String {
    let mut folder = path.as_str();
    while let Some((parent, _)) = folder.rsplit_once('/') {
        folder = parent;
        if let Some(edition) = repository.read(&format!("{folder}/Cargo.toml")).and_then(|text| edition_in(&text)) {
            return edition;
        }
    }
    repository.read("Cargo.toml").and_then(|text| edition_in(&text)).unwrap_or_else(|| "2015".to_owned())
}

fn edition_in(manifest: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.trim().strip_prefix("edition")?.trim().strip_prefix('='))?;
    let edition = line.trim().trim_matches('"');
    (edition.len() == 4 && edition.bytes().all(|byte| byte.is_ascii_digit())).then(|| edition.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::tests::tree_of;

    fn command(path: &str, files: &[(&str, &str)]) -> Option<String> {
        command_of(&RepoPath::parse(path).unwrap(), &Repository::open(Arc::new(tree_of(files))))
    }

    #[test]
    fn a_repository_says_which_formatter_it_uses() {
        let workspace = [
            ("Cargo.toml", "[workspace.package]\nedition = \"2024\"\n"),
            ("a/Cargo.toml", "[package]\nedition.workspace = true\n"),
        ];
        assert_eq!(command("a/src/lib.rs", &workspace).unwrap(), "rustfmt --quiet --edition 2024");
        assert_eq!(command("src/lib.rs", &[]).unwrap(), "rustfmt --quiet --edition 2015");
        assert_eq!(command("a.py", &[("pyproject.toml", "[tool.black]\n")]).unwrap(), "python3 -m black --quiet");
        assert_eq!(
            command("a.py", &[(".pre-commit-config.yaml", "- id: ruff-format\n")]).unwrap(),
            "ruff format --quiet"
        );
        assert_eq!(command("a.py", &[]), None, "not every repository is formatted");
        let prettier = [("package.json", "{\"devDependencies\": {\"prettier\": \"3\"}}")];
        assert!(command("a.ts", &prettier).unwrap().contains("prettier"));
        assert_eq!((command("a.ts", &[("package.json", "{}")]), command("README.md", &prettier)), (None, None));
    }

    #[test]
    fn only_a_file_whose_base_is_formatted_is_formatted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(FOLDER)).unwrap();
        // The formatter writes everything in capitals.
        std::fs::write(folder.path().join("up.sh"), "tr a-z A-Z < \"$1\" > t && cp t \"$1\"\n").unwrap();
        for (file, base, text) in [("a b", Some("X"), "Xy"), ("mixed", Some("x"), "xy"), ("it's", None, "new")] {
            let number = ["a b", "mixed", "it's"].iter().position(|name| *name == file).unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            if let Some(base) = base {
                std::fs::write(folder.path().join(FOLDER).join(number.to_string()), base).unwrap();
            }
        }
        let commands = ["a b", "mixed", "it's"].map(|path| (RepoPath::parse(path).unwrap(), "sh up.sh".to_owned()));
        let status =
            std::process::Command::new("sh").arg("-c").arg(script(&commands)).current_dir(folder.path()).status();
        assert!(status.unwrap().success());
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!([read("a b"), read("mixed"), read("it's")], ["XY", "xy", "NEW"]);
    }
}
