//! .NET: `dotnet test`, which writes one TRX file for each test project.

use std::collections::BTreeSet;
use std::path::Path;

use super::{RunPlan, SuiteRun, variables, words};
use crate::report::ReportSource;

/// Where results and packages lie below the folder for build outputs.
pub(crate) const RESULTS: &str = "trx";
pub(crate) const PACKAGES: &str = "nuget-packages";

const PROJECTS: [&str; 3] = ["csproj", "fsproj", "vbproj"];
const SOLUTIONS: [&str; 2] = ["sln", "slnx"];

/// Returns the folder that the tests of a file are run from: the outermost one with a solution, else the outermost one with a
/// project.
pub(super) fn project_of<'a>(root: &Path, folders: &[&'a Path]) -> Option<&'a Path> {
    let outermost =
        |extensions: &[&str]| folders.iter().rev().copied().find(|folder| has_file(&root.join(folder), extensions));
    outermost(&SOLUTIONS).or_else(|| outermost(&PROJECTS))
}

pub(super) fn is_project(folder: &Path) -> bool {
    has_file(folder, &SOLUTIONS) || has_file(folder, &PROJECTS)
}

fn has_file(folder: &Path, extensions: &[&str]) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.extension().and_then(|extension| extension.to_str()).is_some_and(|found| extensions.contains(&found))
    })
}

pub(super) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    ["cs", "fs", "vb"].contains(&extension)
        && ["Test", "Tests", "Spec", "Specs", "Fact", "Facts"].iter().any(|end| stem.ends_with(end))
}

/// Returns the expression that selects tests: by the names of classes, which are those of their files, or by whole names.
fn filter(run: &SuiteRun<'_>) -> Option<String> {
    let files = run.part_files().unwrap_or_default();
    let classes = files.iter().filter_map(|file| Path::new(file).file_stem()?.to_str());
    let mut terms: BTreeSet<String> = classes.map(|class| format!("FullyQualifiedName~{class}")).collect();
    // A name is `Namespace.Class::Method(values)`. Values would have to be escaped.
    let tests = run.tests().into_iter().flatten();
    terms.extend(tests.map(|name| {
        let name = name.split('(').next().unwrap_or(name).replace("::", ".");
        format!("FullyQualifiedName~{name}")
    }));
    (!terms.is_empty()).then(|| terms.into_iter().collect::<Vec<_>>().join("|"))
}

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let mut args = words("test --nologo --logger trx");
    args.push(format!("--results-directory={}", run.report_file(RESULTS)));
    if let Some(filter) = filter(run) {
        args.push(format!("--filter={filter}"));
    }
    let (home, packages) = (run.report_file("dotnet"), run.report_file("nuget"));
    let env = variables([
        ("DOTNET_CLI_HOME", &home),
        ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"),
        ("DOTNET_NOLOGO", "1"),
        ("MSBUILDDISABLENODEREUSE", "1"),
        ("NUGET_PACKAGES", &packages),
    ]);
    RunPlan::new("dotnet", args, env, ReportSource::Trx(RESULTS.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn a_solution_is_tested_as_a_whole() {
        let tree = tree_of(&[("a/A.slnx", ""), ("a/src/Lib/Lib.csproj", ""), ("b/B.csproj", ""), ("b/C/C.csproj", "")]);
        let found = |path: &str| {
            let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
            project_of(tree.path(), &folders).map(|folder| folder.display().to_string())
        };
        assert_eq!(found("a/src/Lib/X.cs").as_deref(), Some("a"));
        assert_eq!(found("b/C/X.cs").as_deref(), Some("b"));
        assert_eq!(found("c/X.cs"), None);
        assert!(is_test_file("b/CalcTests.cs") && !is_test_file("b/Calc.cs") && !is_test_file("b/Test"));
    }
}
