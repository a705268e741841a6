//! Java and its relatives: Maven and Gradle, which both write `JUnit` XML.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Ecosystem, RunPlan, SuiteRun, variables, words};
use crate::report::ReportSource;

/// Where packages and wrappers lie below the folder for build outputs.
pub(crate) const MAVEN_PACKAGES: &str = "m2";
pub(crate) const MAVEN_WRAPPER: &str = "maven/wrapper";
pub(crate) const GRADLE_PACKAGES: &str = "gradle-packages";
pub(crate) const GRADLE_WRAPPER: &str = "gradle/wrapper/dists";

/// Returns the top of the project that a file belongs to: the last manifest of an unbroken line above it.
pub(super) fn project_of<'a>(root: &Path, folders: &[&'a Path], ecosystem: Ecosystem) -> Option<&'a Path> {
    let names: &[&str] = match ecosystem {
        Ecosystem::Maven => &["pom.xml"],
        _ => &["build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"],
    };
    let has_manifest = |folder: &&Path| names.iter().any(|name| root.join(folder).join(name).is_file());
    let from = folders.iter().position(has_manifest)?;
    folders[from..].iter().copied().take_while(has_manifest).last()
}

pub(super) fn is_test_file(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    let is_source = [".java", ".kt", ".groovy", ".scala"].iter().any(|extension| name.ends_with(extension));
    let is_named =
        stem.starts_with("Test") || ["Test", "Tests", "TestCase", "Spec", "IT"].iter().any(|end| stem.ends_with(end));
    is_source && is_named && (folder.contains("test") || folder.is_empty())
}

fn classes(run: &SuiteRun<'_>) -> BTreeSet<String> {
    let files = run.part_files().unwrap_or_default();
    let of_files = files.iter().filter_map(|file| Some(Path::new(file).file_stem()?.to_str()?.to_owned()));
    // A name is `package.Class::method`.
    let of_tests = run
        .tests()
        .into_iter()
        .flatten()
        .filter_map(|name| Some(name.split("::").next()?.rsplit('.').next()?.to_owned()));
    of_files.chain(of_tests).collect()
}

/// Returns the folders of the modules with the selected files, relative to the project.
fn modules(run: &SuiteRun<'_>) -> BTreeSet<String> {
    let files = run.part_files().unwrap_or_default();
    let module = |file: &String| {
        let folder = Path::new(file)
            .ancestors()
            .skip(1)
            .find(|folder| run.host_folder().join(folder).join("pom.xml").is_file())?;
        Some(folder.display().to_string()).filter(|folder| !folder.is_empty())
    };
    files.iter().filter_map(module).collect()
}

pub(super) fn plan_maven(run: &SuiteRun<'_>) -> RunPlan {
    // Failures are read from the reports, and one module must not keep another from its tests.
    let mut args = words("-o -B -ntp -fae -Dmaven.test.failure.ignore=false");
    // Nothing is written there that a run of its own needs, so that it may be read-only.
    args.push(format!("-Dmaven.repo.local={}", run.report_file(MAVEN_PACKAGES)));
    let classes = classes(run);
    if !classes.is_empty() {
        args.push(format!("-Dtest={}", classes.into_iter().collect::<Vec<_>>().join(",")));
        args.extend(words("-DfailIfNoTests=false -Dsurefire.failIfNoSpecifiedTests=false"));
    }
    let modules = modules(run);
    if !modules.is_empty() {
        args.push("-am".to_owned());
        args.push(format!("-pl={}", modules.into_iter().collect::<Vec<_>>().join(",")));
    }
    args.push("test".to_owned());
    let program = if (run.has_program)("mvn") { "mvn" } else { "./mvnw" };
    let report = ReportSource::Junit(vec!["**/target/surefire-reports/TEST-*.xml".to_owned()]);
    let home = run.report_file("maven");
    let env = variables([("MAVEN_OPTS", "-Xmx1g"), ("MAVEN_USER_HOME", &home)]);
    RunPlan::new(program, args, env, report)
}

pub(super) fn plan_gradle(run: &SuiteRun<'_>) -> RunPlan {
    let mut args = words("--offline --no-daemon --console=plain --continue test");
    for class in classes(run) {
        args.push(format!("--tests=*{class}"));
    }
    let program = if (run.has_program)("gradle") { "gradle" } else { "./gradlew" };
    let env = variables([("GRADLE_USER_HOME", &run.report_file("gradle")), ("GRADLE_OPTS", "-Xmx1g")]);
    let report = ReportSource::Junit(vec!["**/build/test-results/**/TEST-*.xml".to_owned()]);
    RunPlan::new(program, args, env, report)
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn an_aggregating_project_is_tested_from_its_top() {
        let tree = tree_of(&[("java/pom.xml", ""), ("java/core/pom.xml", ""), ("other/pom.xml", "")]);
        let folders: Vec<&Path> = Path::new("java/core/src/main/java/A.java").ancestors().skip(1).collect();
        assert_eq!(project_of(tree.path(), &folders, Ecosystem::Maven), Some(Path::new("java")));
        assert!(is_test_file("core/src/test/java/a/OrderTest.java"));
        assert!(!is_test_file("core/src/main/java/a/Contest.java") && !is_test_file("core/src/test/java/a/Data.java"));
    }
}
