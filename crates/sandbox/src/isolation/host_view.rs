//! What a command in the sandbox sees of this machine: the system and the tool chains, read-only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// What of `/etc` programs need. The rest is left out: it holds names, addresses and keys of this machine.
const ETC: &[&str] = &[
    "alternatives",
    "ant",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gradle",
    "ImageMagick-6",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "maven",
    "mime.types",
    "npmrc",
    "perl",
    "php",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];
/// What of `/etc` is needed in several versions, such as `java-17-openjdk`.
const ETC_PREFIXES: &[&str] = &["java", "python", "ruby", "lua", "pki"];

/// The folders of the system. A link, such as `/bin` today, stays one.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/var/lib/gems"];

/// Folders of tool chains that have no other content, by name.
const VERSION_MANAGERS: &[&str] = &[
    ".asdf", ".bun", ".deno", ".dotnet", ".fnm", ".goenv", ".jenv", ".mise", ".nodenv", ".nvm", ".pyenv", ".rbenv",
    ".rustup", ".rvm", ".sdkman", ".volta",
];
/// Folders that have a `bin` and hold other things beside it, by name.
const MIXED: &[&str] = &[".cargo", ".local", "home", "root"];
/// How many entries of a folder of programs are searched for links.
const MAX_ENTRIES: usize = 5_000;

/// A part of the system, at the same path for the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SystemPart {
    Folder(PathBuf),
    Link { path: PathBuf, target: PathBuf },
}

/// Returns the parts of the system that exist.
pub(crate) fn system() -> Vec<SystemPart> {
    let mut parts: Vec<SystemPart> = SYSTEM.iter().filter_map(|path| system_part(Path::new(path))).collect();
    let named = ETC.iter().map(|name| Path::new("/etc").join(name));
    let versioned =
        std::fs::read_dir("/etc").into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ETC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
    parts.extend(named.chain(versioned).filter(|path| path.exists()).map(SystemPart::Folder));
    parts
}

fn system_part(path: &Path) -> Option<SystemPart> {
    let metadata = path.symlink_metadata().ok()?;
    if metadata.is_symlink() {
        return Some(SystemPart::Link { path: path.to_owned(), target: std::fs::read_link(path).ok()? });
    }
    Some(SystemPart::Folder(path.to_owned()))
}

/// Returns the folders outside of the system that the programs of a `PATH` and the variables of tool chains lead to.
pub(crate) fn toolchains(path: &str, env: &BTreeMap<String, String>) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for folder in std::env::split_paths(path) {
        add_programs(&folder, &mut folders);
    }
    for value in env.values().map(PathBuf::from).filter(|path| is_plain(path) && path.is_dir()) {
        if !is_system(&value) && !is_mixed(&value) {
            folders.insert(value);
        }
    }
    let all = folders.clone();
    folders.retain(|folder| !folder.ancestors().skip(1).any(|parent| all.contains(parent)));
    folders
}

fn add_programs(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    if !is_plain(folder) || is_system(folder) || !folder.is_dir() {
        return;
    }
    let root = toolchain_of(folder);
    if !into.insert(root.clone()) {
        return;
    }
    if let Some(base) = base_interpreter(&root) {
        add_programs(&base, into);
    }
    // Programs are often links, such as the interpreter of a virtual environment.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES) {
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let Some(target) = is_link.then(|| entry.path().canonicalize().ok()).flatten() else { continue };
        if target.is_file()
            && !target.starts_with(&root)
            && let Some(parent) = target.parent()
        {
            add_programs(parent, into);
        }
    }
}

/// Returns the tool chain that a folder of programs belongs to, or the folder alone if other things lie beside it.
fn toolchain_of(folder: &Path) -> PathBuf {
    let manager = folder.ancestors().find(|path| name_is_one_of(path, VERSION_MANAGERS));
    if let Some(manager) = manager {
        return manager.to_owned();
    }
    match folder.parent() {
        Some(parent) if folder.ends_with("bin") && !is_mixed(parent) => parent.to_owned(),
        _ => folder.to_owned(),
    }
}

/// Returns the folder of the interpreter that a virtual environment was made from.
fn base_interpreter(environment: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(environment.join("pyvenv.cfg")).ok()?;
    let home = text.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='))?;
    Some(PathBuf::from(home.trim()))
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir))
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

/// Returns whether a folder is one that holds more than programs: a home, or a part of the machine.
fn is_mixed(path: &Path) -> bool {
    let is_home = path.parent().is_some_and(|parent| parent == Path::new("/home"));
    let is_top = path.parent().is_none_or(|parent| parent == Path::new("/")) && !path.starts_with("/opt");
    is_home || is_top || name_is_one_of(path, MIXED)
}

fn name_is_one_of(path: &Path, names: &[&str]) -> bool {
    path.file_name().is_some_and(|name| names.iter().any(|known| name == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn a_home_is_never_shown_and_the_tool_chains_in_it_are() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("home/ann");
        for path in [".cargo/bin/cargo", ".rustup/toolchains/x/bin/rustc", ".nvm/versions/v22/bin/node", "go/bin/tool"]
        {
            program(&home.join(path));
        }
        program(&home.join(".cargo/credentials.toml"));
        program(&home.join(".pyenv/versions/3.12/bin/python3"));
        program(&home.join("env/pyvenv.cfg"));
        std::fs::create_dir_all(home.join("env/bin")).unwrap();
        std::os::unix::fs::symlink(home.join(".pyenv/versions/3.12/bin/python3"), home.join("env/bin/python")).unwrap();
        let bins = [".cargo/bin", ".nvm/versions/v22/bin", "env/bin", "go/bin", "relative/../bin"];
        let path = std::env::join_paths(bins.iter().map(|bin| home.join(bin))).unwrap().into_string().unwrap();
        let env = BTreeMap::from([
            ("RUSTUP_HOME".to_owned(), home.join(".rustup").display().to_string()),
            ("RUSTUP_TOOLCHAIN".to_owned(), "stable".to_owned()),
        ]);
        let shown = toolchains(&path, &env);
        let expected: BTreeSet<PathBuf> =
            [".cargo/bin", ".nvm", ".pyenv", ".rustup", "env", "go"].iter().map(|path| home.join(path)).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn folders_of_the_machine_are_not_shown_for_a_program_in_them() {
        for (folder, shown) in [
            ("/opt/go/bin", "/opt/go"),
            ("/root/bin", "/root/bin"),
            ("/home/ann/bin", "/home/ann/bin"),
            ("/srv/bin", "/srv/bin"),
            ("/home/ann/.local/bin", "/home/ann/.local/bin"),
        ] {
            assert_eq!(toolchain_of(Path::new(folder)), Path::new(shown));
        }
    }

    #[test]
    fn the_system_is_shown_without_the_secrets_of_its_configuration() {
        let parts = system();
        assert!(parts.contains(&SystemPart::Folder("/usr".into())));
        for secret in ["/etc", "/etc/shadow", "/etc/ssl", "/etc/ssl/private", "/root", "/home", "/var"] {
            assert!(!parts.contains(&SystemPart::Folder(secret.into())), "{secret}");
        }
    }
}
