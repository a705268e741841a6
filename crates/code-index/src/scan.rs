//! Scanning one file: its words in function-sized chunks, its definitions, imports and literals.
//!
//! The scan uses regular expressions, so that files of every language have words, names and imports, and a build without grammars
//! ranks as well. What only a grammar shows is in `structure`.

use std::collections::{HashMap, HashSet};

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::pattern::pattern;
use crate::words::{Splitter, Word, hash_literal, trigrams};

/// The part of a file that is scanned.
const MAX_SCANNED_BYTES: usize = 400_000;
/// The largest chunk, and the size below which a definition does not start a new one.
const MAX_CHUNK_BYTES: usize = 4_000;
const MIN_CHUNK_BYTES: usize = 200;
/// The additional count of a word in the name of a definition.
const DEFINITION_COUNT: u16 = 2;

/// The kind of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    Class,
    Function,
    Method,
    /// `Class.method`, in addition to the method.
    Qualified,
    Constant,
}

/// An import of a module, or of names from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Import {
    /// The module or path, as written.
    pub(crate) module: String,
    /// The imported names; empty if the module itself is imported.
    pub(crate) names: Vec<String>,
}

impl Import {
    /// Returns whether the import may provide a name: explicitly, or by a wildcard.
    pub(crate) fn may_provide(&self, name: &str) -> bool {
        let last = self.module.rsplit(['.', ':', '/', '\\']).next().unwrap_or_default();
        if self.names.is_empty() {
            // In some languages the name is the last part of the path; relative modules may re-export everything.
            return last == name || last == "*" || self.module.starts_with('.');
        }
        self.names.iter().any(|own| own == name || own == "*")
    }
}

/// The result of a scan, as it is cached.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scan {
    /// The words with chunk and count, sorted.
    pub(crate) words: Vec<(Word, u16, u16)>,
    /// The number of words of each chunk.
    pub(crate) chunks: Vec<u32>,
    /// The first byte of each chunk.
    pub(crate) starts: Vec<u32>,
    pub(crate) definitions: Vec<(String, Kind)>,
    /// Literals that a report may quote, sorted.
    pub(crate) literals: Vec<Word>,
    /// The start and name of each definition; cleared when the words have been counted.
    #[serde(skip)]
    positions: Vec<(usize, String)>,
    pub(crate) imports: Vec<Import>,
    /// Whether a comment in the first lines marks the file as generated.
    pub(crate) is_generated: bool,
}

pattern!(PYTHON_DEF, r"(?m)^([ \t]*)(?:async[ \t]+)?(def|class|cdef class|cpdef)[ \t]+([A-Za-z_]\w*)");
pattern!(PYTHON_CONST, r"(?m)^([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=[^=]");
pattern!(
    PYTHON_IMPORT,
    r"(?m)^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+([\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[ \t]*[\w.]+(?:[ \t]+as[ \t]+\w+)?)*))"
);
pattern!(
    OTHER_DEF,
    r"(?m)^([ \t]*)(?:(?:export|default|public|private|protected|internal|static|final|abstract|pub(?:\([^)]*\))?|async|unsafe|const|override|virtual|sealed|partial|data|open|declare|extern|inline)[ \t]+)*(fn|func|function|class|struct|enum|trait|interface|type|impl(?:<[^>\n]*>)?|mod|macro_rules!|def|module|record|object|namespace)[ \t]+(?:\([^)\n]*\)[ \t]*)?([A-Za-z_]\w*)"
);
pattern!(
    TYPED_METHOD,
    r"(?m)^([ \t]+)(?:(?:public|private|protected|internal|static|final|abstract|async|override|virtual|synchronized|default|readonly)[ \t]+)*(?:[\w<>\[\],.?]+[ \t]+)?([A-Za-z_]\w*)[ \t]*\([^;{}\n]*\)[^;{}\n]*\{"
);
pattern!(
    C_FUNCTION,
    r"(?m)^[A-Za-z_][\w \t*&:<>,~]*?[ \t*&]([A-Za-z_~][\w:~]*)[ \t]*\([^;{}]*\)[^;{}]*\{|^#define[ \t]+([A-Za-z_]\w*)"
);
pattern!(
    OTHER_CONST,
    r"(?m)^(?:export[ \t]+)?(?:pub(?:\([^)]*\))?[ \t]+)?(?:const|let|var|static|val)[ \t]+(?:mut[ \t]+)?([A-Za-z_]\w*)[ \t]*[:=]"
);
pattern!(JS_IMPORT, r#"(?:from|require\(|import\(|import)[ \t]*['"]([^'"\n]+)['"]"#);
pattern!(RUST_USE, r"(?m)^[ \t]*(?:pub(?:\([^)]*\))?[ \t]+)?(?:use[ \t]+([^;]{1,400});|mod[ \t]+(\w+);)");
pattern!(GO_IMPORT, r#"(?m)^(?:import)?[ \t]*(?:[\w.]+[ \t]+)?"([\w./-]+)"[ \t]*$"#);
pattern!(DOTTED_IMPORT, r"(?m)^[ \t]*(?:import|using|use)[ \t]+(?:static[ \t]+)?([\w.\\]+)");
pattern!(INCLUDE, r#"(?m)^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]"#);
pattern!(RUBY_REQUIRE, r#"(?m)^[ \t]*require(?:_relative)?[ \t(]+['"]([^'"\n]+)['"]"#);

pattern!(GENERATED, r"(?i)@generated\b|code generated .* do not edit|(?:automatically|auto-)\s?generated");

/// The number of first lines that are searched for a mark of generated code.
const GENERATED_MARK_LINES: usize = 5;

/// Keywords that the pattern for methods matches.
const NOT_METHODS: &[&str] =
    &["if", "for", "while", "switch", "catch", "return", "else", "do", "try", "function", "new"];

impl Scan {
    /// Scans a file.
    pub(crate) fn new(text: &str, language: Language, splitter: &mut Splitter) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_SCANNED_BYTES)];
        let mut scan = Self::default();
        let starts = match language {
            Language::Python => scan.find_python_definitions(text),
            _ => scan.find_definitions(text, language),
        };
        scan.count_words(text, &starts, splitter);
        scan.find_imports(text, language);
        scan.literals = find_literals(text);
        scan.is_generated = text.lines().take(GENERATED_MARK_LINES).any(|line| GENERATED.is_match(line));
        scan
    }

    /// Removes words and literals and keeps definitions and imports, for trees beyond the limit of words.
    pub(crate) fn without_words(mut self) -> Self {
        self.words = Vec::new();
        self.literals = Vec::new();
        self.chunks.iter_mut().for_each(|length| *length = 0);
        self
    }

    /// Finds definitions in Python. Returns the starts of the chunks.
    fn find_python_definitions(&mut self, text: &str) -> Vec<usize> {
        let (mut class, mut starts) = (None::<&str>, vec![0]);
        let mut known: HashMap<&str, usize> = HashMap::new();
        for found in PYTHON_DEF.captures_iter(text) {
            let (indent, name) = (found.get(1).map_or(0, |m| m.len()), found.get(3).map_or("", |m| m.as_str()));
            let is_class = found[2].ends_with("class");
            let kind = match (is_class, indent) {
                (true, _) => Kind::Class,
                (false, 0) => Kind::Function,
                (false, _) => Kind::Method,
            };
            if indent == 0 {
                class = is_class.then_some(name);
            }
            match known.get(name) {
                None => {
                    known.insert(name, self.definitions.len());
                    self.definitions.push((name.to_owned(), kind));
                }
                Some(&at) if is_class => self.definitions[at].1 = kind,
                Some(_) => {}
            }
            if let (Some(class), Kind::Method) = (class.filter(|_| indent > 0), kind) {
                self.definitions.push((format!("{class}.{name}"), Kind::Qualified));
            }
            let at = found.get(0).map_or(0, |m| m.start());
            self.positions.push((at, name.to_owned()));
            if at > starts[starts.len() - 1] + MIN_CHUNK_BYTES {
                starts.push(at);
            }
        }
        for found in PYTHON_CONST.captures_iter(text) {
            let name = found.get(1).map_or("", |m| m.as_str());
            if known.insert(name, usize::MAX).is_none() {
                self.definitions.push((name.to_owned(), Kind::Constant));
            }
        }
        starts
    }

    /// Finds definitions in other languages. Returns the starts of the chunks.
    fn find_definitions(&mut self, text: &str, language: Language) -> Vec<usize> {
        let mut found: Vec<(usize, String, Kind)> = Vec::new();
        for one in OTHER_DEF.captures_iter(text) {
            let inner = one.get(1).is_some_and(|indent| !indent.is_empty());
            let kind = match &one[2] {
                "fn" | "func" | "function" | "def" if inner => Kind::Method,
                "fn" | "func" | "function" | "def" => Kind::Function,
                _ => Kind::Class,
            };
            found.push((one.get(0).map_or(0, |m| m.start()), one[3].to_owned(), kind));
        }
        if language.has_typed_methods() {
            let methods = TYPED_METHOD.captures_iter(text).filter(|one| !NOT_METHODS.contains(&&one[2]));
            found.extend(methods.map(|one| (one.get(0).map_or(0, |m| m.start()), one[2].to_owned(), Kind::Method)));
        }
        if language == Language::C {
            let functions = C_FUNCTION.captures_iter(text).filter_map(|one| Some((one.get(1).or(one.get(2))?, one)));
            found.extend(functions.map(|(name, one)| {
                let name = name.as_str().rsplit(':').next().unwrap_or_default().to_owned();
                (one.get(0).map_or(0, |m| m.start()), name, Kind::Function)
            }));
        }
        let constants = OTHER_CONST.captures_iter(text);
        found.extend(constants.map(|one| (one.get(0).map_or(0, |m| m.start()), one[1].to_owned(), Kind::Constant)));
        found.sort_by_key(|(at, ..)| *at);
        let (mut starts, mut class, mut known) = (vec![0], None::<String>, HashSet::new());
        for (at, name, kind) in found {
            if kind != Kind::Constant && at > starts[starts.len() - 1] + 2 * MIN_CHUNK_BYTES {
                starts.push(at);
            }
            if kind != Kind::Constant {
                self.positions.push((at, name.clone()));
            }
            match kind {
                Kind::Class => class = Some(name.clone()),
                Kind::Function => class = None,
                Kind::Method => {
                    if let Some(class) = &class {
                        self.definitions.push((format!("{class}.{name}"), Kind::Qualified));
                    }
                }
                Kind::Constant | Kind::Qualified => {}
            }
            if known.insert(name.clone()) {
                self.definitions.push((name, kind));
            }
        }
        starts
    }

    fn count_words(&mut self, text: &str, starts: &[usize], splitter: &mut Splitter) {
        let mut counts: HashMap<Word, u16> = HashMap::new();
        for (position, &start) in starts.iter().enumerate() {
            let end = starts.get(position + 1).copied().unwrap_or(text.len());
            let mut from = start;
            while from < end || (from == end && self.chunks.is_empty()) {
                let to = text.floor_char_boundary((from + MAX_CHUNK_BYTES).min(end)).max(from);
                counts.clear();
                splitter.for_each_word(&text[from..to], |word| {
                    let count = counts.entry(word).or_default();
                    *count = count.saturating_add(1);
                });
                // Names that are defined characterise a file better than names that are used.
                for (_, name) in self.positions.iter().filter(|(at, _)| (from..to).contains(at)) {
                    splitter.for_each_word(name, |word| {
                        let count = counts.entry(word).or_default();
                        *count = count.saturating_add(DEFINITION_COUNT);
                    });
                }
                let chunk = u16::try_from(self.chunks.len()).unwrap_or(u16::MAX);
                self.starts.push(u32::try_from(from).unwrap_or(u32::MAX));
                self.chunks.push(counts.values().map(|count| u32::from(*count)).sum());
                self.words.extend(counts.iter().map(|(word, count)| (*word, chunk, *count)));
                if to == from {
                    break;
                }
                from = to;
            }
        }
        // Sorted for binary search by word.
        self.words.sort_unstable();
        self.positions = Vec::new();
    }

    fn find_imports(&mut self, text: &str, language: Language) {
        let modules = |pattern: &Regex| -> Vec<Import> {
            let module = |found: regex::Captures<'_>| found.get(1).map_or(String::new(), |m| m.as_str().to_owned());
            pattern.captures_iter(text).map(|found| Import { module: module(found), names: vec![] }).collect()
        };
        self.imports = match language {
            Language::Python => python_imports(text),
            Language::JavaScript | Language::TypeScript => modules(&JS_IMPORT),
            Language::Rust => RUST_USE.captures_iter(text).flat_map(|found| rust_imports(&found)).collect(),
            Language::Go => modules(&GO_IMPORT),
            Language::Java | Language::CSharp | Language::Php => modules(&DOTTED_IMPORT),
            Language::C => modules(&INCLUDE),
            Language::Ruby => modules(&RUBY_REQUIRE),
            Language::Other => Vec::new(),
        };
    }
}

/// Finds the literals that a report may quote: trigrams of messages, flags and keys.
pub(crate) fn find_literals(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '\'', '`']) {
            let quote = rest.as_bytes()[at];
            let inside = &rest[at + 1..];
            let end = find_closing_quote(inside.as_bytes(), quote);
            let content = inside.get(..end).unwrap_or_default();
            if content.contains(' ') {
                trigrams(content, |trigram| found.push(trigram));
            } else {
                found.extend(hash_literal(content));
            }
            rest = inside.get(end + 1..).unwrap_or_default();
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn find_closing_quote(bytes: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

fn python_imports(text: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for found in PYTHON_IMPORT.captures_iter(text) {
        let first = |part: &str| part.split(" as ").next().unwrap_or_default().trim().to_owned();
        if let (Some(module), Some(names)) = (found.get(1), found.get(2)) {
            let names = names.as_str().replace(['(', ')', '\\', '\n'], " ");
            let names = names.split(',').map(first).filter(|name| !name.is_empty()).collect();
            imports.push(Import { module: module.as_str().to_owned(), names });
        } else if let Some(modules) = found.get(3) {
            imports.extend(modules.as_str().split(',').map(|part| Import { module: first(part), names: vec![] }));
        }
    }
    imports
}

/// Expands `use a::{b, c::D};` into `a::b` and `a::c::D`, and `mod x;` into `self::x`.
fn rust_imports(found: &regex::Captures<'_>) -> Vec<Import> {
    if let Some(module) = found.get(2) {
        return vec![Import { module: format!("self::{}", module.as_str()), names: vec![] }];
    }
    let Some(tree) = found.get(1) else { return Vec::new() };
    let tree: String = tree.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
    let (prefix, rest) = tree.split_once('{').unwrap_or((&tree, ""));
    if rest.is_empty() {
        let path = prefix.split(" as ").next().unwrap_or_default().trim();
        return vec![Import { module: path.to_owned(), names: vec![] }];
    }
    let leaves = rest.replace(['{', '}'], ",");
    let leaf = |part: &str| part.split(" as ").next().unwrap_or_default().trim().trim_end_matches("::").to_owned();
    let leaves = leaves.split(',').map(leaf).filter(|leaf| !leaf.is_empty() && leaf != "self");
    leaves.map(|leaf| Import { module: format!("{}{leaf}", prefix.trim()), names: vec![] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, language: Language) -> Scan {
        Scan::new(text, language, &mut Splitter::default())
    }

    fn names(text: &str, language: Language) -> Vec<String> {
        scan(text, language).definitions.into_iter().map(|(name, kind)| format!("{kind:?} {name}")).collect()
    }

    #[test]
    fn python_definitions_and_imports_are_found() {
        let text = "from a.b import (c as d,\n    e)\nimport os.path as p, sys\nMAX: int = 3\n\nclass X(Y):\n    async def go(self):\n        pass\n\ndef go():\n    pass\n";
        let expected = ["Class X", "Method go", "Qualified X.go", "Constant MAX"];
        assert_eq!(names(text, Language::Python), expected);
        let imports = scan(text, Language::Python).imports;
        assert_eq!(imports[0], Import { module: "a.b".into(), names: vec!["c".into(), "e".into()] });
        assert_eq!([&imports[1].module, &imports[2].module], ["os.path", "sys"]);
    }

    #[test]
    fn definitions_and_imports_of_other_languages_are_found() {
        let has = |text: &str, language, expected: &str| {
            let found = names(text, language);
            assert!(found.iter().any(|name| name == expected), "{expected} in {found:?}");
        };
        has("pub(crate) async fn open_file() {}\n", Language::Rust, "Function open_file");
        has("impl Store for Disk {\n    fn read(&self) {}\n}\n", Language::Rust, "Qualified Store.read");
        has("func (s *Server) Serve(l net.Listener) error {\n", Language::Go, "Function Serve");
        has("export default function render() {}\n", Language::JavaScript, "Function render");
        has("export const MAX_SIZE = 3\n", Language::TypeScript, "Constant MAX_SIZE");
        has("class A {\n  protected async load(id: string): Promise<A> {\n", Language::TypeScript, "Qualified A.load");
        has("public class Main {\n    public static void main(String[] a) {\n", Language::Java, "Method main");
        has("static int parse_url(const char *u)\n{\n", Language::C, "Function parse_url");
        has("module A\n  def go\n", Language::Ruby, "Method go");
        has(
            "namespace App;\nclass User {\n    public function name(): string {\n",
            Language::Php,
            "Qualified User.name",
        );
        has("namespace App { public class User { } }\n", Language::CSharp, "Class App");
        let used: Vec<String> = scan("use crate::{a::B, c};\nmod x;\nuse std::fmt as f;\n", Language::Rust)
            .imports
            .into_iter()
            .map(|import| import.module)
            .collect();
        assert_eq!(used, ["crate::a::B", "crate::c", "self::x", "std::fmt"]);
        let included = scan("#include \"a/b.h\"\n", Language::C).imports;
        assert_eq!(included[0].module, "a/b.h");
        let required =
            scan("import { x } from './util'\nconst y = require(\"../lib/y\")\n", Language::JavaScript).imports;
        assert_eq!([&required[0].module, &required[1].module], ["./util", "../lib/y"]);
    }

    #[test]
    fn chunks_start_at_definitions_and_have_a_maximum_size() {
        let text = format!("{}\ndef a():\n    x\ndef b():\n    {}\n", "# word\n".repeat(60), "y = 1\n    ".repeat(900));
        let scan = scan(&text, Language::Python);
        assert!(scan.chunks.len() >= 4, "{:?}", scan.chunks);
        assert!(scan.words.is_sorted());
    }
}
