//! The index of a tree in memory, and the ranking of its files.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use crate::corpus::Document;
use crate::explain::explain;
use crate::features::FeatureTable;
use crate::history::Changes;
use crate::language::{Language, is_auxiliary, is_prose, is_test};
use crate::model;
use crate::modules::Modules;
use crate::query::{IssueText, Query};
use crate::scan::{Kind, Scan};
use crate::structure::Structure;
use crate::words::{Splitter, Word, words_of};

/// A file with its rank.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedDocument {
    /// The path relative to the tree's root, with `/`.
    pub path: String,
    /// The score as a log-odds value; comparable within one ranking only.
    pub score: f64,
    /// The reasons for the score, strongest first.
    pub reasons: Vec<String>,
}

/// An indexed file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) scan: Scan,
    /// The number of words.
    pub(crate) length: u32,
    pub(crate) path_words: Vec<Word>,
    pub(crate) name_words: Vec<Word>,
    /// The name without its extension, in lower case; the folder's name for `__init__`, `mod`, `index` and `lib`.
    pub(crate) stem: String,
    pub(crate) is_code: bool,
    pub(crate) is_test: bool,
    pub(crate) is_auxiliary: bool,
}

/// An index of files, ready to rank them for a text.
#[derive(Debug)]
pub struct Index {
    pub(crate) paths: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) structures: Vec<Structure>,
    pub(crate) modules: Modules,
    /// The files that each file imports or that import it.
    pub(crate) neighbours: Vec<Vec<u32>>,
    by_path: HashMap<String, usize>,
    definitions: HashMap<String, Vec<(u32, Kind)>>,
}

/// The number of files that one task of the thread pool scans. They share a cache of split identifiers.
const BATCH_SIZE: usize = 64;
/// The number of re-exporting modules through which a name is followed to its definition.
const MAX_RE_EXPORTS: usize = 4;
/// The largest number of reasons of a file.
const MAX_REASONS: usize = 4;

impl Index {
    /// Indexes files. Blocks, and uses all processors.
    pub fn build(documents: Vec<Document>) -> Self {
        let scan_batch = |batch: &[Document]| {
            let mut splitter = Splitter::default();
            let language = |path: &str| Language::of(path).unwrap_or(Language::Other);
            let scan = |document: &Document| Scan::new(&document.text, language(&document.path), &mut splitter);
            batch.iter().map(scan).collect::<Vec<_>>()
        };
        let scans = documents.par_chunks(BATCH_SIZE).flat_map_iter(scan_batch).collect();
        let parse = |document: &Document| Structure::new(&document.path, &document.text);
        let structures = documents.par_iter().map(parse).collect();
        Self::from_scans(documents.into_iter().map(|document| document.path).collect(), scans, structures)
    }

    /// Creates an index from scanned and parsed files.
    pub(crate) fn from_scans(paths: Vec<String>, scans: Vec<Scan>, structures: Vec<Structure>) -> Self {
        let read = || -> Vec<File> { paths.par_iter().zip(scans).map(|(path, scan)| File::new(path, scan)).collect() };
        let (files, modules) = rayon::join(read, || Modules::new(paths.iter().map(String::as_str)));
        let (neighbours, definitions) =
            rayon::join(|| find_neighbours(&paths, &files, &modules), || list_definitions(&files));
        let by_path = paths.iter().enumerate().map(|(position, path)| (path.clone(), position)).collect();
        Self { paths, files, structures, modules, neighbours, by_path, definitions }
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns whether the index has no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns at most `limit` files that the text is about, most likely first. Equal scores are ordered by path. Files that
    /// the text does not match in any way are left out.
    pub fn rank(&self, issue: &IssueText, limit: usize) -> Vec<RankedDocument> {
        let query = Query::parse(issue);
        if query.all.is_empty() {
            return Vec::new();
        }
        let features = self.features(&query, None, None);
        let first = self.order(&features).into_iter().take(limit);
        first.map(|place| self.describe(&query, &features, None, place)).collect()
    }

    /// Computes the features of the candidates, with those of the history, and within a folder.
    pub(crate) fn features(&self, query: &Query, changes: Option<&Changes<'_>>, folder: Option<&str>) -> FeatureTable {
        FeatureTable::new(self, query, changes, self.pool(query, folder))
    }

    /// Returns the positions of the candidates that the text matches, with their scores, most likely first.
    pub(crate) fn order(&self, features: &FeatureTable) -> Vec<(usize, f64)> {
        // Without this, files that do not match would be ranked by their length alone.
        let matching = (0..features.pool.len()).filter(|position| features.has_evidence(*position));
        let mut order: Vec<(usize, f64)> =
            matching.map(|position| (position, model::score(&features.row(position)))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| self.path(features, a.0).cmp(self.path(features, b.0))));
        order
    }

    /// Describes a candidate for users, with the reasons for its score.
    pub(crate) fn describe(
        &self,
        query: &Query,
        features: &FeatureTable,
        changes: Option<&Changes<'_>>,
        (position, score): (usize, f64),
    ) -> RankedDocument {
        RankedDocument {
            path: self.path(features, position).to_owned(),
            score,
            reasons: explain(self, query, features, changes, position, MAX_REASONS),
        }
    }

    /// Returns the path of a candidate.
    pub(crate) fn path(&self, features: &FeatureTable, position: usize) -> &str {
        &self.paths[features.pool[position]]
    }

    /// Returns the candidates: code that is not a test, and files that the text names by their path. If there are none, all
    /// files are candidates.
    fn pool(&self, query: &Query, folder: Option<&str>) -> Vec<usize> {
        let mut named: Vec<usize> = Vec::new();
        for path in query.paths.keys() {
            let (files, depth) = self.modules.resolve(path);
            if depth > 1 || files.len() == 1 {
                named.extend(files.iter().map(|file| *file as usize));
            }
        }
        let within = |position: &usize| {
            folder.is_none_or(|folder| {
                self.paths[*position].strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let is_candidate = |position: &usize| {
            let file = &self.files[*position];
            let is_prose = query.about_docs && is_prose(&self.paths[*position]);
            (file.is_code || named.contains(position) || is_prose) && (!file.is_test || query.about_tests)
        };
        let all: Vec<usize> = (0..self.files.len()).filter(within).collect();
        let pool: Vec<usize> = all.iter().copied().filter(is_candidate).collect();
        if pool.is_empty() { all } else { pool }
    }

    /// Returns the position of the file with this path.
    pub(crate) fn position(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Returns the files that define a name.
    pub(crate) fn defining(&self, name: &str) -> &[(u32, Kind)] {
        self.definitions.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns the files with the definition of a name that a module exports: the module itself, or where it imports the name
    /// from.
    pub(crate) fn definition_sites(&self, file: usize, name: &str) -> Vec<(u32, Kind)> {
        let (mut modules, mut visited) = (vec![file], BTreeSet::from([file]));
        for _ in 0..MAX_RE_EXPORTS {
            let is_here = |site: &(u32, Kind)| modules.contains(&(site.0 as usize));
            let found: Vec<(u32, Kind)> = self.defining(name).iter().copied().filter(is_here).collect();
            if !found.is_empty() {
                return found;
            }
            modules = modules
                .iter()
                .flat_map(|file| self.sources(*file, name))
                .filter(|file| visited.insert(*file))
                .collect();
        }
        // A Python package can export names dynamically; then the definitions below its folder are taken.
        let Some(folder) = self.paths[file].strip_suffix("__init__.py") else { return Vec::new() };
        let is_below = |site: &&(u32, Kind)| self.paths[site.0 as usize].starts_with(folder);
        let found: Vec<(u32, Kind)> = self.defining(name).iter().filter(is_below).copied().collect();
        let is_top_level = |site: &&(u32, Kind)| matches!(site.1, Kind::Class | Kind::Function);
        let top_level: Vec<(u32, Kind)> = found.iter().filter(is_top_level).copied().collect();
        if top_level.is_empty() { found } else { top_level }
    }

    /// Returns the files from which a file may import a name.
    fn sources(&self, file: usize, name: &str) -> Vec<usize> {
        let path = &self.paths[file];
        let language = Language::of(path).unwrap_or(Language::Other);
        let imports = self.files[file].scan.imports.iter().filter(|import| import.may_provide(name));
        imports.flat_map(|import| self.modules.targets(import, path, language)).map(|file| file as usize).collect()
    }

    /// Returns whether a file defines a name.
    pub(crate) fn defines(&self, file: usize, name: &str) -> bool {
        self.defining(name).iter().any(|(other, _)| *other as usize == file)
    }
}

impl File {
    fn new(path: &str, scan: Scan) -> Self {
        let language = Language::of(path);
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let own_stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let folder = folders.rsplit('/').next().unwrap_or_default();
        let is_folder_module = matches!(own_stem, "__init__" | "mod" | "index" | "lib") && !folder.is_empty();
        let stem = if is_folder_module { folder } else { own_stem };
        let words = |text: &str| {
            let mut words: Vec<Word> = Vec::new();
            for part in text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
                words.extend(words_of(part));
            }
            words.sort_unstable();
            words.dedup();
            words
        };
        Self {
            length: scan.chunks.iter().sum(),
            path_words: words(path.rsplit_once('.').map_or(path, |(stem, _)| stem)),
            name_words: words(stem),
            stem: stem.trim_matches('_').to_lowercase(),
            is_code: language.is_some(),
            is_test: is_test(path),
            is_auxiliary: is_auxiliary(path) || scan.is_generated,
            scan,
        }
    }
}

/// Returns the files that define each name.
fn list_definitions(files: &[File]) -> HashMap<String, Vec<(u32, Kind)>> {
    let mut definitions: HashMap<String, Vec<(u32, Kind)>> = HashMap::new();
    for (number, file) in (0_u32..).zip(files) {
        for (name, kind) in &file.scan.definitions {
            match definitions.get_mut(name) {
                Some(known) => known.push((number, *kind)),
                None => drop(definitions.insert(name.clone(), vec![(number, *kind)])),
            }
        }
    }
    definitions
}

fn find_neighbours(paths: &[String], files: &[File], modules: &Modules) -> Vec<Vec<u32>> {
    let targets: Vec<Vec<u32>> = files
        .par_iter()
        .zip(paths)
        .map(|(file, path)| {
            let language = Language::of(path).unwrap_or(Language::Other);
            file.scan.imports.iter().flat_map(|import| modules.targets(import, path, language)).collect()
        })
        .collect();
    let mut neighbours = vec![Vec::new(); files.len()];
    for (from, targets) in (0_u32..).zip(targets) {
        for to in targets.into_iter().filter(|to| *to != from) {
            neighbours[from as usize].push(to);
            neighbours[to as usize].push(from);
        }
    }
    for list in &mut neighbours {
        list.sort_unstable();
        list.dedup();
    }
    neighbours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        Index::build(vec![
            Document::new("src/http/header.py", "def parse_header(line):\n    return line.split(':')\n"),
            Document::new("src/http/body.py", "class BodyReader:\n    def read(self):\n        pass\n"),
            Document::new("src/cli.py", "from http.header import parse_header\nparse_header('a')\nparse_header('b')\n"),
            Document::new("tests/test_header.py", "def test_parse_header():\n    assert parse_header('a: b: c')\n"),
            Document::new("docs/header.md", "parse_header reads a header line. header header header\n"),
            Document::new("src/解析.py", "# 解析网址\n网址 = 1\n"),
        ])
    }

    fn first(title: &str, body: &str) -> String {
        index().rank(&IssueText::new(title, body), 3)[0].path.clone()
    }

    #[test]
    fn a_definition_ranks_above_its_uses_tests_and_docs() {
        assert_eq!(first("parse_header drops the rest after a second colon", ""), "src/http/header.py");
    }

    #[test]
    fn paths_modules_and_stack_frames_identify_their_file() {
        assert_eq!(first("wrong output", "see src/cli.py"), "src/cli.py");
        assert_eq!(first("wrong output", "in `http.body.BodyReader.read`"), "src/http/body.py");
        let trace = "  File \"/site-packages/src/cli.py\", line 1, in main\n  File \"/site-packages/src/http/body.py\", line 3, in read\n";
        assert_eq!(first("crash", trace), "src/http/body.py");
    }

    #[test]
    fn chinese_words_are_matched() {
        assert_eq!(first("解析网址时出错", ""), "src/解析.py");
    }

    #[test]
    fn tests_are_ranked_only_if_the_text_is_about_tests() {
        assert_eq!(first("flaky: test_parse_header", ""), "tests/test_header.py");
        let ranked = index().rank(&IssueText::new("test_parse_header", ""), 9);
        assert!(ranked.iter().all(|file| !file.path.starts_with("tests/") && !file.path.ends_with(".md")));
    }

    #[test]
    fn the_ranking_of_a_text_is_reproducible_to_the_last_digit() {
        let text =
            "see src/cli.py and `http.body.BodyReader.read`, or header.py; `parse_header` in src/http/header.py fails";
        let issue = IssueText::new("parse_header and BodyReader disagree", text);
        let first = index().rank(&issue, 9);
        assert!((0..20).all(|_| index().rank(&issue, 9) == first));
    }

    #[test]
    fn a_text_without_evidence_has_no_ranking() {
        assert!(index().rank(&IssueText::new("", ""), 5).is_empty());
        assert!(index().rank(&IssueText::new("zebra", "nothing like that is in there"), 5).is_empty());
        assert!(Index::build(vec![]).rank(&IssueText::new("x y z", ""), 5).is_empty());
    }

    #[test]
    fn chinese_comments_and_messages_identify_their_file() {
        let index = Index::build(vec![
            Document::new(
                "app/cart.py",
                "# 购物车：计算折扣后的总价\ndef total(items):\n    raise ValueError('库存不足')\n",
            ),
            Document::new("app/mail.py", "# 发送邮件通知\ndef send(to):\n    pass\n"),
            Document::new("app/user.py", "# 用户登录\ndef login(name):\n    pass\n"),
        ]);
        let first = |title: &str, body: &str| index.rank(&IssueText::new(title, body), 1)[0].path.clone();
        assert_eq!(first("折扣没有计入总价", ""), "app/cart.py");
        assert_eq!(first("下单时报错", "提示“库存不足”，但是有货。"), "app/cart.py");
        assert_eq!(first("登录失败", "用户输入正确密码也无法登录"), "app/user.py");
        assert_eq!(first("点击按钮后send没有反应", ""), "app/mail.py");
    }

    fn definition_sites<'a>(index: &'a Index, module: &str, name: &str) -> Vec<&'a str> {
        let sites = index.definition_sites(index.position(module).unwrap(), name);
        sites.iter().map(|site| index.paths[site.0 as usize].as_str()).collect()
    }

    #[test]
    fn a_re_exported_name_is_followed_to_its_definition() {
        let index = Index::build(vec![
            Document::new("shop/__init__.py", "from .api import *\n"),
            Document::new("shop/api.py", "from .core.cart import Cart\n"),
            Document::new("shop/core/cart.py", "class Cart:\n    pass\n"),
            Document::new("shop/other/cart.py", "class Cart:\n    pass\n"),
        ]);
        assert_eq!(definition_sites(&index, "shop/__init__.py", "Cart"), ["shop/core/cart.py"]);
        let web = Index::build(vec![
            Document::new("src/index.ts", "export * from './util'\n"),
            Document::new("src/util/index.ts", "export { clamp } from './number'\n"),
            Document::new("src/util/number.ts", "export function clamp(x: number) { return x }\n"),
        ]);
        assert_eq!(definition_sites(&web, "src/index.ts", "clamp"), ["src/util/number.ts"]);
    }

    #[test]
    fn a_test_that_the_text_names_identifies_the_tested_file() {
        let index = Index::build(vec![
            Document::new("src/alpha.py", "def one():\n    return 1\n"),
            Document::new("src/beta.py", "def two():\n    return 2\n"),
            Document::new(
                "tests/test_x.py",
                "from src.beta import two\n\ndef test_sums_up():\n    assert two() == 2\n",
            ),
        ]);
        let ranked = index.rank(&IssueText::new("test_sums_up fails", ""), 3);
        assert_eq!(ranked[0].path, "src/beta.py");
        assert!(ranked[0].reasons.iter().any(|reason| reason.contains("tests that match the text")), "{ranked:?}");
    }

    #[test]
    fn any_text_is_indexed_and_ranked_without_panic() {
        proptest::proptest!(|(path in "[a-z/]{0,8}\\.(py|rs|go|js|ts|java|c|cpp|cs|rb|php|kt)", text in "\\PC{0,200}", title in "\\PC{0,80}")| {
            let code = format!("class A:\n  def {text}(\nfn {text} {{ \"{text}\n`{text}");
            crate::outline::outline(&path, &code);
            let index = Index::build(vec![Document::new(path, code), Document::new("b.py", "x = 1\n")]);
            index.rank(&IssueText::new(title, text), 5);
        });
    }
}
