//! Go: `go test -json`, for the packages that a change touches.

use std::collections::BTreeSet;
use std::path::Path;

use super::{RunPlan, SuiteRun, variables, words};
use crate::report::ReportSource;

/// Returns the packages of the changed files: their folders, relative to the root.
pub(super) fn find_near(root: &Path, changed: &[&str]) -> Vec<String> {
    let is_package = |folder: &Path| {
        let files = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        files.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.ends_with("_test.go"))
    };
    let folders = changed.iter().filter_map(|path| {
        // Files in `testdata` belong to the package above it.
        let folder = Path::new(path).ancestors().skip(1).find(|folder| is_package(folder))?;
        Some(folder.display().to_string())
    });
    folders.collect::<BTreeSet<_>>().into_iter().collect()
}

pub(super) fn plan(run: &SuiteRun<'_>) -> RunPlan {
    let mut args = words("test -json");
    if let Some(tests) = run.tests() {
        // A name is `PACKAGE.Test/sub`; the path of the package has dots too.
        let names: BTreeSet<&str> = tests.iter().filter_map(|name| top_test(name)).collect();
        args.push(format!("-run=^({})$", names.into_iter().collect::<Vec<_>>().join("|")));
    }
    let packages: Vec<String> =
        run.parts().unwrap_or_default().iter().map(|part| format!("./{}", run.relative(part))).collect();
    if packages.is_empty() {
        args.push("./...".to_owned());
    } else {
        args.extend(packages.into_iter().filter(|package| run.host_folder().join(package).is_dir()));
    }
    let mut env = variables([
        ("GOPATH", &run.report_file("go")),
        ("GOCACHE", &run.report_file("go-build")),
        ("GOTOOLCHAIN", "local"),
        ("GONOSUMDB", "*"),
    ]);
    if run.is_offline {
        env.insert("GOPROXY".to_owned(), "off".to_owned());
    }
    let vendored = run.host_folder().join("vendor/modules.txt").is_file();
    if !vendored && !run.host_folder().join("go.sum").is_file() {
        env.insert("GOFLAGS".to_owned(), "-mod=mod".to_owned());
    }
    RunPlan::new("go", args, env, ReportSource::Go)
}

fn top_test(name: &str) -> Option<&str> {
    let after_path = name.rsplit_once('/').filter(|(path, _)| !path.contains(".Test")).map_or(name, |(_, last)| last);
    let test = after_path.split_once('.')?.1;
    Some(test.split('/').next().unwrap_or(test))
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn a_file_leads_to_the_package_with_tests_around_it() {
        let tree = tree_of(&[("go.mod", ""), ("a/b/x_test.go", ""), ("a/b/testdata/in.txt", ""), ("c/y.go", "")]);
        let near = |path: &str| find_near(tree.path(), &[path]);
        assert_eq!(near("a/b/x.go"), ["a/b"]);
        assert_eq!(near("a/b/testdata/in.txt"), ["a/b"]);
        assert!(near("c/y.go").is_empty());
    }

    #[test]
    fn the_test_of_a_name_is_found_behind_the_path_of_its_package() {
        assert_eq!(top_test("example.com/a/b.TestX"), Some("TestX"));
        assert_eq!(top_test("b.TestX/case.one"), Some("TestX"));
    }
}
