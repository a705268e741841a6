//! Resolving imports, and paths and module names of a text, to files.

use std::collections::HashMap;

use crate::language::Language;
use crate::scan::Import;

/// The files of a tree by the suffixes of their paths, and by their module names.
#[expect(clippy::struct_field_names, reason = "each is a way to look a file up")]
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// Every suffix of every path, from the whole path down to the file's name.
    by_suffix: HashMap<String, Vec<u32>>,
    /// By module name: `a.b.c` in Python, and the dotted path in other languages.
    by_name: HashMap<String, u32>,
    /// By the last part of the module name.
    by_last_part: HashMap<String, Vec<u32>>,
}

/// Source folders that are not part of a module's name.
const ROOTS: &[&str] = &["src", "lib", "python", "source", "packages", "crates"];

/// Returns the module name of a file: its dotted path, without extension and names such as `__init__`.
fn module_name(path: &str) -> String {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let stem = ["/__init__", "/mod", "/index", "/lib", "/main"]
        .iter()
        .find_map(|name| stem.strip_suffix(name))
        .unwrap_or(stem);
    stem.replace('/', ".")
}

impl Modules {
    pub(crate) fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut known = Self::default();
        for (file, path) in (0_u32..).zip(paths) {
            let mut suffix = path;
            loop {
                known.by_suffix.entry(suffix.to_owned()).or_default().push(file);
                let Some((_, shorter)) = suffix.split_once('/') else { break };
                suffix = shorter;
            }
            let module = module_name(path);
            if let Some((first, rest)) = module.split_once('.')
                && ROOTS.contains(&first)
            {
                known.by_name.entry(rest.to_owned()).or_insert(file);
            }
            let name = module.rsplit('.').next().unwrap_or_default().to_owned();
            known.by_last_part.entry(name).or_default().push(file);
            known.by_name.entry(module).or_insert(file);
        }
        known
    }

    /// Returns the file of a module.
    pub(crate) fn get(&self, module: &str) -> Option<u32> {
        self.by_name.get(module).copied()
    }

    /// Returns the files whose module name ends with a dotted name.
    pub(crate) fn ending_with<'a>(&'a self, name: &'a str, paths: &'a [String]) -> impl Iterator<Item = u32> + 'a {
        let last = name.rsplit('.').next().unwrap_or_default();
        let tail = format!(".{name}");
        let files = self.by_last_part.get(last).map_or(&[][..], Vec::as_slice);
        files.iter().copied().filter(move |file| module_name(&paths[*file as usize]).ends_with(&tail))
    }

    /// Returns the files with the longest common suffix with a path of a text, and the number of common parts.
    pub(crate) fn resolve(&self, path: &str) -> (&[u32], usize) {
        let parts: Vec<&str> =
            path.split('/').filter(|part| !part.is_empty() && !matches!(*part, "." | ".." | "~")).collect();
        for start in 0..parts.len() {
            if let Some(files) = self.by_suffix.get(&parts[start..].join("/")) {
                return (files, parts.len() - start);
            }
        }
        (&[], 0)
    }

    /// Returns the files that an import in the file `from` refers to.
    pub(crate) fn targets(&self, import: &Import, from: &str, language: Language) -> Vec<u32> {
        match language {
            Language::Python => self.python(import, from),
            Language::JavaScript | Language::TypeScript => self.relative(&import.module, from),
            Language::C => self.resolve(&import.module).0.iter().take(2).copied().collect(),
            Language::Ruby => self.path(&import.module, "rb"),
            Language::Rust => self.rust(&import.module, from),
            Language::Go => self.folder(&import.module),
            Language::Java | Language::CSharp | Language::Php | Language::Other => self.dotted(&import.module),
        }
    }

    fn python(&self, import: &Import, from: &str) -> Vec<u32> {
        let dots = import.module.len() - import.module.trim_start_matches('.').len();
        let mut folders: Vec<&str> = from.split('/').collect();
        folders.pop();
        let module = if dots == 0 {
            import.module.clone()
        } else {
            folders.truncate(folders.len().saturating_sub(dots - 1));
            let rest = import.module.trim_start_matches('.');
            if !rest.is_empty() {
                folders.push(rest);
            }
            folders.join(".")
        };
        let found: Vec<u32> = import.names.iter().filter_map(|name| self.get(&format!("{module}.{name}"))).collect();
        if found.is_empty() { self.get(&module).into_iter().collect() } else { found }
    }

    fn relative(&self, module: &str, from: &str) -> Vec<u32> {
        if !module.starts_with('.') {
            // A package of the same repository: `@scope/name` is in a folder of that name.
            return self.folder(module).into_iter().take(1).collect();
        }
        let mut folders: Vec<&str> = from.split('/').collect();
        folders.pop();
        for part in module.split('/') {
            match part {
                "." => {}
                ".." => drop(folders.pop()),
                name => folders.push(name),
            }
        }
        let path = folders.join("/");
        let stem =
            path.rsplit_once('.').filter(|(_, extension)| extension.len() <= 4).map_or(path.as_str(), |(stem, _)| stem);
        self.get(&stem.replace('/', ".")).or_else(|| self.get(&path.replace('/', "."))).into_iter().collect()
    }

    fn path(&self, path: &str, extension: &str) -> Vec<u32> {
        let suffix = format!("{}.{extension}", path.trim_start_matches("./").trim_start_matches("../"));
        self.by_suffix.get(&suffix).map_or_else(Vec::new, |files| files.iter().take(2).copied().collect())
    }

    fn rust(&self, module: &str, from: &str) -> Vec<u32> {
        let mut folders: Vec<&str> = from.split('/').collect();
        let name = folders.pop().unwrap_or_default();
        let own = name.trim_end_matches(".rs");
        let root = folders.iter().rposition(|part| *part == "src").map_or(0, |at| at + 1);
        let mut parts: Vec<&str> = module.split("::").map(str::trim).filter(|part| !part.is_empty()).collect();
        let mut base: Vec<&str> = match parts.first() {
            Some(&"crate") => folders[..root].to_vec(),
            Some(&"self") => {
                let mut here = folders.clone();
                if !matches!(own, "mod" | "lib" | "main") {
                    here.push(own);
                }
                here
            }
            Some(&"super") => {
                let mut here = folders.clone();
                if matches!(own, "mod") {
                    here.pop();
                }
                here
            }
            _ => return Vec::new(),
        };
        parts.remove(0);
        while parts.first() == Some(&"super") {
            base.pop();
            parts.remove(0);
        }
        // The last parts can be names within the module.
        for keep in (1..=parts.len()).rev() {
            let path = base.iter().chain(&parts[..keep]).copied().collect::<Vec<_>>().join(".");
            if let Some(file) = self.get(&path) {
                return vec![file];
            }
        }
        Vec::new()
    }

    /// Returns the first files of the folder that is the last part of an import's path.
    fn folder(&self, module: &str) -> Vec<u32> {
        let name = module.rsplit('/').next().unwrap_or_default();
        self.by_last_part.get(name).map_or_else(Vec::new, |files| files.iter().take(3).copied().collect())
    }

    fn dotted(&self, module: &str) -> Vec<u32> {
        let path = module.replace(['.', '\\'], "/");
        let suffixes = ["java", "kt", "scala", "cs", "php", "swift"].map(|extension| format!("{path}.{extension}"));
        let found = suffixes.iter().find_map(|suffix| self.by_suffix.get(suffix));
        found.map_or_else(Vec::new, |files| files.iter().take(2).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(paths: &[&str], module: &str, names: &[&str], from: &str) -> Vec<String> {
        let modules = Modules::new(paths.iter().copied());
        let import = Import { module: module.to_owned(), names: names.iter().map(|&name| name.to_owned()).collect() };
        let language = Language::of(from).unwrap();
        modules.targets(&import, from, language).iter().map(|file| paths[*file as usize].to_owned()).collect()
    }

    #[test]
    fn imports_are_resolved_to_files() {
        let python = ["pkg/__init__.py", "pkg/a.py", "pkg/sub/b.py", "src/top/c.py"];
        assert_eq!(find(&python, "pkg", &["a", "X"], "x.py"), ["pkg/a.py"]);
        assert_eq!(find(&python, "..a", &["f"], "pkg/sub/b.py"), ["pkg/a.py"]);
        assert_eq!(find(&python, "top.c", &[], "x.py"), ["src/top/c.py"]);
        let web = ["src/util.ts", "src/a/index.ts", "src/b.tsx"];
        assert_eq!(find(&web, "./util", &[], "src/b.tsx"), ["src/util.ts"]);
        assert_eq!(find(&web, "../a", &[], "src/c/d.ts"), ["src/a/index.ts"]);
        let rust = ["x/src/lib.rs", "x/src/a/mod.rs", "x/src/a/b.rs"];
        assert_eq!(find(&rust, "crate::a::b::Thing", &[], "x/src/lib.rs"), ["x/src/a/b.rs"]);
        assert_eq!(find(&rust, "self::b", &[], "x/src/a/mod.rs"), ["x/src/a/b.rs"]);
        assert_eq!(find(&["a/com/x/Y.java"], "com.x.Y", &[], "a/Z.java"), ["a/com/x/Y.java"]);
        assert_eq!(find(&["inc/a/b.h"], "a/b.h", &[], "src/c.c"), ["inc/a/b.h"]);
    }

    #[test]
    fn a_path_is_resolved_by_its_longest_known_suffix() {
        let modules = Modules::new(["django/db/models/query.py", "a/query.py"].into_iter());
        assert_eq!(modules.resolve("/usr/lib/site-packages/django/db/models/query.py"), (&[0][..], 4));
        assert_eq!(modules.resolve("query.py").0, [0, 1]);
        assert_eq!(modules.resolve("nowhere.py").0, [] as [u32; 0]);
    }
}
