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

/// A test class without tests: with it, Maven resolves what runs tests.
const MAVEN_CLASS: &str = "src/test/java/PatchwrightFetch.java";
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
            // Plugins that generate sources may fail on manifests alone: what is resolved until then is kept.
            format!(
                "mvn -B -ntp -fae -Dmaven.repo.local={folder}/{M2} test || mvn -B -ntp -Dmaven.repo.local={folder}/{M2} \
                 dependency:go-offline"
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
                std::fs::write(class, "public class PatchwrightFetch {}\n")?;
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
    let packages = folder.join(from);
    if packages.is_dir() {
        environment.mounts.push(Mount::read(packages, to));
    }
}
