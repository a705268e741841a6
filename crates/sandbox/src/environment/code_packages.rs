//! Package managers whose manifests are programs, or that run plugins: Maven, Gradle, `NuGet`, Bundler.
//!
//! Fetching with them runs code, so an administrator has to grant it, the code reaches the registries alone, and its packages are
//! kept for the repository, not shared. See [`SandboxGrants::packages_with_code`](patchwright_domain::SandboxGrants).

use std::io;
use std::path::{Path, PathBuf};

use crate::isolation::Mount;
use crate::suite::{Ecosystem, dotnet, jvm, shell};
use crate::workspace::Environment;

/// Where the packages lie below a prepared environment.
const M2: &str = "m2";
const GRADLE: &str = "gradle";
const NUGET: &str = "nuget";
const BUNDLE: &str = "bundle";

/// A test class without tests, by a name that surefire takes for one: only then it resolves what runs tests.
const MAVEN_CLASS: &str = "src/test/java/PatchwrightFetchTest.java";
/// Gradle resolves all that can be resolved.
const GRADLE_SCRIPT_NAME: &str = "patchwright.init.gradle";
const GRADLE_SCRIPT: &str = "\
allprojects {
    tasks.register('patchwrightResolve') {
        doLast {
            (buildscript.configurations + configurations).findAll { it.canBeResolved }.each { configuration ->
                try { configuration.resolve() } catch (Exception e) { println \"not resolved: ${configuration.name}\" }
            }
        }
    }
}
";

/// Returns whether fetching the packages of an ecosystem runs code.
pub(super) const fn runs_code(ecosystem: Ecosystem) -> bool {
    matches!(
        ecosystem,
        Ecosystem::Maven | Ecosystem::Gradle | Ecosystem::Dotnet | Ecosystem::Rspec | Ecosystem::Minitest
    )
}

/// Returns the command that fetches, and the names of the manifests, where `*` stands for any beginning.
pub(super) fn line_and_manifests(ecosystem: Ecosystem, folder: &str) -> Option<(Vec<String>, Vec<&'static str>)> {
    let found: (String, Vec<&'static str>) = match ecosystem {
        Ecosystem::Maven => (
            // Plugins that generate sources may fail on manifests alone: what is resolved until then is kept. Without the notes about
            // where a file is from, it is good for every repository of that name.
            format!(
                "{{ mvn -B -ntp -fae -Dmaven.repo.local={folder}/{M2} test || mvn -B -ntp -Dmaven.repo.local={folder}/{M2} \
                 dependency:go-offline; }} && find {folder}/{M2} -name _remote.repositories -delete"
            ),
            vec!["pom.xml"],
        ),
        Ecosystem::Gradle => (
            format!(
                "gradle --no-daemon --console=plain -g {folder}/{GRADLE} -I {folder}/{GRADLE_SCRIPT_NAME} patchwrightResolve"
            ),
            vec![
                "build.gradle",
                "build.gradle.kts",
                "settings.gradle",
                "settings.gradle.kts",
                "gradle.properties",
                "libs.versions.toml",
                "gradle.lockfile",
            ],
        ),
        Ecosystem::Dotnet => (
            format!("NUGET_PACKAGES={folder}/{NUGET} dotnet restore"),
            vec![
                "*.csproj",
                "*.fsproj",
                "*.vbproj",
                "*.sln",
                "*.slnx",
                "Directory.Build.props",
                "Directory.Build.targets",
                "Directory.Packages.props",
                "global.json",
                "packages.lock.json",
            ],
        ),
        Ecosystem::Rspec | Ecosystem::Minitest => (
            format!("BUNDLE_PATH={folder}/{BUNDLE} BUNDLE_JOBS=2 bundle install"),
            // A gemspec loads the file with its version.
            vec!["Gemfile", "Gemfile.lock", "*.gemspec", "version.rb", ".ruby-version"],
        ),
        _ => return None,
    };
    Some((shell(&found.0), found.1))
}

/// Writes what the package manager needs beside the manifests.
pub(super) fn write_helpers(ecosystem: Ecosystem, manifests: &[PathBuf], to: &Path) -> io::Result<()> {
    match ecosystem {
        Ecosystem::Maven => {
            for manifest in manifests {
                let class = to.join(manifest.parent().unwrap_or(Path::new(""))).join(MAVEN_CLASS);
                class.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(class, "public class PatchwrightFetchTest {}\n")?;
            }
            Ok(())
        }
        Ecosystem::Gradle => std::fs::write(to.join(GRADLE_SCRIPT_NAME), GRADLE_SCRIPT),
        _ => Ok(()),
    }
}

/// Adds the packages of a prepared folder to an environment. `seen` is the folder as commands see it, and `scratch` their folder
/// for build outputs, in which the commands of a suite look for packages.
pub(super) fn add(ecosystem: Ecosystem, folder: &Path, seen: &Path, scratch: &Path, environment: &mut Environment) {
    let mut set = |name: &str, value: PathBuf| environment.env.insert(name.to_owned(), value.display().to_string());
    let (from, to) = match ecosystem {
        Ecosystem::Maven => (M2.to_owned(), scratch.join(jvm::MAVEN_PACKAGES)),
        Ecosystem::Gradle => {
            set("GRADLE_RO_DEP_CACHE", scratch.join(jvm::GRADLE_PACKAGES));
            (format!("{GRADLE}/caches"), scratch.join(jvm::GRADLE_PACKAGES))
        }
        Ecosystem::Dotnet => {
            set("NUGET_FALLBACK_PACKAGES", scratch.join(dotnet::PACKAGES));
            (NUGET.to_owned(), scratch.join(dotnet::PACKAGES))
        }
        _ => {
            set("BUNDLE_PATH", seen.join(BUNDLE));
            set("BUNDLE_FROZEN", PathBuf::from("true"));
            (BUNDLE.to_owned(), seen.join(BUNDLE))
        }
    };
    if crate::tree::is_folder_below(folder, Path::new(&from)) {
        environment.mounts.push(Mount::read(folder.join(from), to));
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::sandbox::{Granted, Suite};

    use super::super::Preparation;
    use super::*;
    use crate::suite::tree_of;

    fn suite(ecosystem: &str, is_granted: bool) -> Suite {
        let granted = Granted { packages_with_code: is_granted, ..Granted::default() };
        Suite { ecosystem: ecosystem.to_owned(), granted, ..Suite::default() }
    }

    #[test]
    fn packages_whose_fetching_runs_code_need_a_grant_and_are_shared_with_nobody() {
        let tree = tree_of(&[
            ("pom.xml", "<project/>"),
            ("core/pom.xml", "<project/>"),
            ("src/main/java/A.java", "class A {}"),
            (".mvn/extensions.xml", "<extensions/>"),
        ]);
        let of = |is_granted| Preparation::of(&suite("maven", is_granted), tree.path(), "", &|_| true);
        assert_eq!(of(false), None);
        let preparation = of(true).unwrap();
        assert!(preparation.runs_code() && preparation.line.join(" ").contains("-Dmaven.repo.local=/environment/m2"));
        let (to, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        preparation.copy_manifests(tree.path(), &suite("maven", true), to.path()).unwrap();
        assert!(to.path().join("core").join(MAVEN_CLASS).is_file());
        assert!(!to.path().join("src/main").exists() && !to.path().join(".mvn").exists(), "manifests alone");
        let mounts = preparation.mounts(to.path(), cache.path(), Path::new("/workspace"));
        assert_eq!(mounts, [Mount::write(to.path(), "/environment")], "what is shared is out of reach");
    }

    #[test]
    fn fetched_packages_lie_where_the_commands_of_a_suite_look_for_them() {
        let folder = tree_of(&[("m2/a", ""), ("gradle/caches/b", ""), ("nuget/c", ""), ("bundle/d", "")]);
        let of = |ecosystem| {
            let mut environment = Environment::default();
            add(ecosystem, folder.path(), Path::new("/environment"), Path::new("/scratch"), &mut environment);
            (environment.mounts[0].target.display().to_string(), environment.env)
        };
        assert_eq!(of(Ecosystem::Maven).0, "/scratch/m2");
        assert_eq!(of(Ecosystem::Gradle).1["GRADLE_RO_DEP_CACHE"], "/scratch/gradle-packages");
        assert_eq!(of(Ecosystem::Dotnet).1["NUGET_FALLBACK_PACKAGES"], "/scratch/nuget-packages");
        let (place, env) = of(Ecosystem::Rspec);
        assert_eq!((place.as_str(), env["BUNDLE_PATH"].as_str()), ("/environment/bundle", "/environment/bundle"));
    }
}
