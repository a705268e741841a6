//! The allowed dependencies between the crates of the workspace, and the crates that may use certain third-party
//! crates.

use std::collections::{BTreeMap, BTreeSet};

/// Every crate of the workspace with the crates of the workspace that it may use at run time. A crate that is missing here
/// fails the test.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("core", &["domain"]),
    ("worker", &["core", "domain"]),
    ("engine", &["core", "domain", "worker"]),
    ("http", &["core", "domain"]),
    ("management", &["core", "domain", "engine", "http"]),
    ("notify", &["core", "domain", "http"]),
    ("metrics", &["core", "domain"]),
    ("protocol", &["domain"]),
    ("api", &["core", "domain", "engine", "management", "protocol"]),
    ("dashboard", &["core", "domain", "engine", "management"]),
    ("client", &["core", "domain", "http", "protocol"]),
    ("node", &["core", "domain", "http", "protocol", "worker"]),
    // Adapters never use one another.
    ("github", &["core", "domain", "http"]),
    ("gitcode", &["core", "domain", "http"]),
    ("jira", &["core", "domain", "http"]),
    ("local", &["core", "domain"]),
    ("llm-openai", &["core", "domain", "http"]),
    ("gitops-gix", &["core", "domain"]),
    ("code-index", &["core", "domain"]),
    ("sandbox", &["core", "domain"]),
    ("store-diesel", &["core", "domain"]),
    ("testkit", &["core", "domain"]),
    ("e2e", &[]),
];

/// The crates that may use anything of the workspace but the test kit.
const ROOTS: &[&str] = &["server"];

/// Third-party crates that only these may use.
const WALLS: &[(&str, &[&str])] = &[
    ("actix-web", &["api", "dashboard", "node", "server", "testkit"]),
    ("diesel", &["store-diesel"]),
    ("diesel-async", &["store-diesel"]),
    ("gix", &["gitops-gix", "local"]),
    // git's own HTTP is configured with it; all other requests go through `http`.
    ("reqwest", &["http", "gitops-gix"]),
    ("lettre", &["notify"]),
    ("prometheus-client", &["metrics"]),
    ("argon2", &["management"]),
    ("utoipa", &["api", "protocol"]),
    ("utoipa-swagger-ui-vendored", &["api"]),
    ("clap", &["server"]),
    ("minijinja", &["engine"]),
    ("syntect", &["dashboard"]),
    ("pulldown-cmark", &["jira", "dashboard", "engine"]),
    ("tree-sitter", &["code-index"]),
];

/// The dependencies that the domain may use in addition to the standard library.
const DOMAIN: &[&str] = &["jiff", "serde", "thiserror", "uuid"];

struct Package {
    ours: BTreeSet<String>,
    others: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let short = |name: &str| name.strip_prefix("patchwright-").map(str::to_owned);
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let mut found = Package { ours: BTreeSet::new(), others: BTreeSet::new() };
            for dependency in package["dependencies"].as_array().unwrap() {
                if dependency["kind"] == "dev" {
                    continue;
                }
                let name = dependency["name"].as_str().unwrap();
                match short(name) {
                    Some(ours) => found.ours.insert(ours),
                    None => found.others.insert(name.to_owned()),
                };
            }
            (short(package["name"].as_str().unwrap()).expect("our packages carry the prefix"), found)
        })
        .collect()
}

#[test]
fn every_crate_uses_only_what_the_architecture_allows() {
    let packages = packages();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).chain(ROOTS.iter().copied()).collect();
    assert_eq!(packages.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "the map names every crate");
    for (name, allowed) in ALLOWED {
        for used in &packages[*name].ours {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    for name in ROOTS {
        assert!(!packages[*name].ours.contains("testkit"), "{name} must not use the test kit");
    }
    for (library, allowed) in WALLS {
        for (name, package) in &packages {
            assert!(
                !package.others.contains(*library) || allowed.contains(&name.as_str()),
                "{name} must not use {library}"
            );
        }
    }
    for used in &packages["domain"].others {
        assert!(DOMAIN.contains(&used.as_str()), "domain must not use {used}");
    }
}

/// Returns all Rust files below the workspace's crates and tests.
fn rust_files() -> Vec<std::path::PathBuf> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut files, mut folders) = (Vec::new(), vec![root.join("crates"), root.join("tests")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn every_file_belongs_to_a_crate() {
    const ROOTS: [&str; 4] = ["lib", "main", "mod", "build"];
    for file in rust_files() {
        let (folder, stem) = (file.parent().unwrap(), file.file_stem().unwrap().to_str().unwrap());
        let of_cargo = ["examples", "benches", "bin", "targets"].iter().any(|name| folder.ends_with(name));
        let is_test_root = folder.ends_with("tests") && !folder.join("main.rs").exists();
        if ROOTS.contains(&stem) || of_cargo || is_test_root {
            continue;
        }
        let beside = folder.with_extension("rs");
        let parents = ["lib.rs", "main.rs", "mod.rs"].map(|name| folder.join(name)).into_iter().chain([beside]);
        let texts: Vec<String> = parents.filter_map(|parent| std::fs::read_to_string(parent).ok()).collect();
        let declared = texts.iter().any(|text| text.contains(&format!("mod {stem};")));
        assert!(declared, "no module declares {}", file.display());
    }
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    let mut offenders = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(crates)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let shown = path.display().to_string();
            let product =
                ["/testkit", "/tests", "/benches", "/examples", "build.rs"].iter().all(|end| !shown.ends_with(end));
            if path.is_dir() && product {
                folders.push(path);
            } else if product && shown.ends_with(".rs") && !shown.contains("/server/src/config/") {
                let text = std::fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]").next().unwrap_or_default();
                if production.contains("env::var") && !shown.ends_with("tests.rs") {
                    offenders.push(shown);
                }
            }
        }
    }
    assert!(offenders.is_empty(), "these read the environment: {offenders:?}");
}
