//! The index of a tree, and the ranking of its files.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use crate::corpus::Document;
use crate::explain::reasons;
use crate::features::{Features, Sign};
use crate::history::Changes;
use crate::language::{Language, is_aside, is_prose, is_test};
use crate::model;
use crate::modules::Modules;
use crate::query::{IssueText, Query};
use crate::scan::{Kind, Scan};
use crate::words::{Splitter, Word, words_of};

/// One file with its rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Relative, with `/`.
    pub path: String,
    /// Higher is likelier; comparable within one ranking only.
    pub score: f64,
    /// Why, strongest first.
    pub reasons: Vec<String>,
}

/// What is kept of a file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) scan: Scan,
    /// How many words it has.
    pub(crate) length: u32,
    pub(crate) path_words: Vec<Word>,
    pub(crate) name_words: Vec<Word>,
    /// The name without its ending, in lower case; that of the folder where the name stands for it.
    pub(crate) stem: String,
    pub(crate) is_code: bool,
    pub(crate) is_test: bool,
    pub(crate) is_aside: bool,
}

/// The index of a tree.
#[derive(Debug)]
pub struct Index {
    pub(crate) paths: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) modules: Modules,
    /// By imports, in both directions.
    pub(crate) neighbours: Vec<Vec<u32>>,
    by_path: HashMap<String, usize>,
    definitions: HashMap<String, Vec<(u32, Kind)>>,
}

/// How many files one worker reads at a time: they share what is known of identifiers.
const SHARE: usize = 64;
/// Through how many modules a name is followed to where it is defined.
const RE_EXPORTS: usize = 4;
/// The most reasons that a file is given.
const REASONS: usize = 4;

impl Index {
    /// Indexes files.
    pub fn build(documents: Vec<Document>) -> Self {
        let read = |share: &[Document]| {
            let mut splitter = Splitter::default();
            let language = |path: &str| Language::of(path).unwrap_or(Language::Other);
            let scan = |document: &Document| Scan::of(&document.text, language(&document.path), &mut splitter);
            share.iter().map(scan).collect::<Vec<_>>()
        };
        let scans = documents.par_chunks(SHARE).flat_map_iter(read).collect();
        Self::of(documents.into_iter().map(|document| document.path).collect(), scans)
    }

    /// The index of files that have been read.
    pub(crate) fn of(paths: Vec<String>, scans: Vec<Scan>) -> Self {
        let files: Vec<File> = paths.par_iter().zip(scans).map(|(path, scan)| File::new(path, scan)).collect();
        let modules = Modules::new(paths.iter().map(String::as_str));
        let neighbours = neighbours(&paths, &files, &modules);
        let mut definitions: HashMap<String, Vec<(u32, Kind)>> = HashMap::new();
        for (number, file) in (0_u32..).zip(&files) {
            for (name, kind) in &file.scan.definitions {
                definitions.entry(name.clone()).or_default().push((number, *kind));
            }
        }
        let by_path = paths.iter().enumerate().map(|(place, path)| (path.clone(), place)).collect();
        Self { paths, files, modules, neighbours, by_path, definitions }
    }

    /// How many files it holds.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files that the text is about, likeliest first. Equal scores are ordered by path.
    pub fn rank(&self, issue: &IssueText, limit: usize) -> Vec<Ranked> {
        self.rank_with(&Query::read(issue), None, None, limit)
    }

    /// The same with a look at what was changed before, and within a folder.
    pub(crate) fn rank_with(
        &self,
        query: &Query,
        changes: Option<&Changes<'_>>,
        folder: Option<&str>,
        limit: usize,
    ) -> Vec<Ranked> {
        if query.all.is_empty() {
            return Vec::new();
        }
        let features = Features::new(self, query, changes, self.pool(query, folder));
        // A file that nothing points to has no rank, however short it is.
        let pointed_to = (0..features.pool.len()).filter(|place| features.has_sign(*place));
        let mut order: Vec<(f64, usize)> =
            pointed_to.map(|place| (model::score(&features.row(place)), place)).collect();
        order
            .sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| self.path(&features, a.1).cmp(self.path(&features, b.1))));
        order
            .into_iter()
            .take(limit)
            .map(|(score, place)| Ranked {
                path: self.path(&features, place).to_owned(),
                score,
                reasons: reasons(self, query, &features, changes, place, REASONS),
            })
            .collect()
    }

    /// The numbers that each file's score is made of.
    pub(crate) fn rows(&self, query: &Query, changes: Option<&Changes<'_>>) -> Vec<(String, [f64; Sign::ALL.len()])> {
        let features = Features::new(self, query, changes, self.pool(query, None));
        (0..features.pool.len()).map(|place| (self.path(&features, place).to_owned(), features.row(place))).collect()
    }

    fn path(&self, features: &Features, place: usize) -> &str {
        &self.paths[features.pool[place]]
    }

    /// The files that may be meant: code that is no test, and what the text names by its path. Where that is nothing, all.
    fn pool(&self, query: &Query, folder: Option<&str>) -> Vec<usize> {
        let mut named: Vec<usize> = Vec::new();
        for path in query.paths.keys() {
            let (files, depth) = self.modules.resolve(path);
            if depth > 1 || files.len() == 1 {
                named.extend(files.iter().map(|file| *file as usize));
            }
        }
        let within = |place: &usize| {
            folder
                .is_none_or(|folder| self.paths[*place].strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        };
        let meant = |place: &usize| {
            let file = &self.files[*place];
            let wanted = file.is_code || named.contains(place) || (query.about_docs && is_prose(&self.paths[*place]));
            wanted && (!file.is_test || query.about_tests)
        };
        let all: Vec<usize> = (0..self.files.len()).filter(within).collect();
        let pool: Vec<usize> = all.iter().copied().filter(meant).collect();
        if pool.is_empty() { all } else { pool }
    }

    /// Where a file with this path is.
    pub(crate) fn place(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Which files define a name.
    pub(crate) fn defining(&self, name: &str) -> &[(u32, Kind)] {
        self.definitions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The files that define what a module gives out under a name: itself, or where it takes that from.
    pub(crate) fn homes(&self, file: usize, name: &str) -> Vec<(u32, Kind)> {
        let (mut at, mut seen) = (vec![file], BTreeSet::from([file]));
        for _ in 0..RE_EXPORTS {
            let defining = |place: &(u32, Kind)| at.contains(&(place.0 as usize));
            let found: Vec<(u32, Kind)> = self.defining(name).iter().copied().filter(defining).collect();
            if !found.is_empty() {
                return found;
            }
            at = at.iter().flat_map(|file| self.sources(*file, name)).filter(|file| seen.insert(*file)).collect();
        }
        // A package may make its names in ways that no line shows: whoever defines one below it is meant.
        let Some(folder) = self.paths[file].strip_suffix("__init__.py") else { return Vec::new() };
        let below = |found: &&(u32, Kind)| self.paths[found.0 as usize].starts_with(folder);
        let found: Vec<(u32, Kind)> = self.defining(name).iter().filter(below).copied().collect();
        let strong = |found: &&(u32, Kind)| matches!(found.1, Kind::Class | Kind::Function);
        let strong: Vec<(u32, Kind)> = found.iter().filter(strong).copied().collect();
        if strong.is_empty() { found } else { strong }
    }

    /// The files that a file takes a name from.
    fn sources(&self, file: usize, name: &str) -> Vec<usize> {
        let path = &self.paths[file];
        let language = Language::of(path).unwrap_or(Language::Other);
        let imports = self.files[file].scan.imports.iter().filter(|import| import.may_give(name));
        imports.flat_map(|import| self.modules.targets(import, path, language)).map(|file| file as usize).collect()
    }

    /// Whether a file defines a name.
    pub(crate) fn defines(&self, file: usize, name: &str) -> bool {
        self.defining(name).iter().any(|(other, _)| *other as usize == file)
    }
}

impl File {
    fn new(path: &str, scan: Scan) -> Self {
        let language = Language::of(path);
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let plain = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let folder = folders.rsplit('/').next().unwrap_or_default();
        let stands_for_folder = matches!(plain, "__init__" | "mod" | "index" | "lib") && !folder.is_empty();
        let stem = if stands_for_folder { folder } else { plain };
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
            length: scan.pieces.iter().sum(),
            path_words: words(path.rsplit_once('.').map_or(path, |(stem, _)| stem)),
            name_words: words(stem),
            stem: stem.trim_matches('_').to_lowercase(),
            is_code: language.is_some(),
            is_test: is_test(path),
            is_aside: is_aside(path) || scan.is_generated,
            scan,
        }
    }
}

fn neighbours(paths: &[String], files: &[File], modules: &Modules) -> Vec<Vec<u32>> {
    let targets: Vec<Vec<u32>> = files
        .par_iter()
        .zip(paths)
        .map(|(file, path)| {
            let language = Language::of(path).unwrap_or(Language::Other);
            file.scan.imports.iter().flat_map(|import| modules.targets(import, path, language)).collect()
        })
        .collect();
    let mut near = vec![Vec::new(); files.len()];
    for (from, targets) in (0_u32..).zip(targets) {
        for to in targets.into_iter().filter(|to| *to != from) {
            near[from as usize].push(to);
            near[to as usize].push(from);
        }
    }
    for list in &mut near {
        list.sort_unstable();
        list.dedup();
    }
    near
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
    fn a_definition_beats_its_uses_tests_and_docs() {
        assert_eq!(first("parse_header drops the rest after a second colon", ""), "src/http/header.py");
    }

    #[test]
    fn paths_modules_and_frames_lead_to_their_file() {
        assert_eq!(first("wrong output", "see src/cli.py"), "src/cli.py");
        assert_eq!(first("wrong output", "in `http.body.BodyReader.read`"), "src/http/body.py");
        let trace = "  File \"/site-packages/src/cli.py\", line 1, in main\n  File \"/site-packages/src/http/body.py\", line 3, in read\n";
        assert_eq!(first("crash", trace), "src/http/body.py");
    }

    #[test]
    fn chinese_words_count() {
        assert_eq!(first("解析网址时出错", ""), "src/解析.py");
    }

    #[test]
    fn a_test_is_ranked_only_when_the_text_is_about_tests() {
        assert_eq!(first("flaky: test_parse_header", ""), "tests/test_header.py");
        let ranked = index().rank(&IssueText::new("test_parse_header", ""), 9);
        assert!(ranked.iter().all(|file| !file.path.starts_with("tests/") && !file.path.ends_with(".md")));
    }

    #[test]
    fn the_same_text_makes_the_same_ranking_to_the_last_digit() {
        let text =
            "see src/cli.py and `http.body.BodyReader.read`, or header.py; `parse_header` in src/http/header.py fails";
        let issue = IssueText::new("parse_header and BodyReader disagree", text);
        let first = index().rank(&issue, 9);
        assert!((0..20).all(|_| index().rank(&issue, 9) == first));
    }

    #[test]
    fn no_signal_means_no_ranking() {
        assert!(index().rank(&IssueText::new("", ""), 5).is_empty());
        assert!(index().rank(&IssueText::new("zebra", "nothing like that is in there"), 5).is_empty());
        assert!(Index::build(vec![]).rank(&IssueText::new("x y z", ""), 5).is_empty());
    }

    #[test]
    fn chinese_comments_and_messages_lead_to_their_file() {
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

    fn homes<'a>(index: &'a Index, module: &str, name: &str) -> Vec<&'a str> {
        let homes = index.homes(index.place(module).unwrap(), name);
        homes.iter().map(|home| index.paths[home.0 as usize].as_str()).collect()
    }

    #[test]
    fn a_name_that_a_package_gives_out_leads_to_where_it_is_defined() {
        let index = Index::build(vec![
            Document::new("shop/__init__.py", "from .api import *\n"),
            Document::new("shop/api.py", "from .core.cart import Cart\n"),
            Document::new("shop/core/cart.py", "class Cart:\n    pass\n"),
            Document::new("shop/other/cart.py", "class Cart:\n    pass\n"),
        ]);
        assert_eq!(homes(&index, "shop/__init__.py", "Cart"), ["shop/core/cart.py"]);
        let web = Index::build(vec![
            Document::new("src/index.ts", "export * from './util'\n"),
            Document::new("src/util/index.ts", "export { clamp } from './number'\n"),
            Document::new("src/util/number.ts", "export function clamp(x: number) { return x }\n"),
        ]);
        assert_eq!(homes(&web, "src/index.ts", "clamp"), ["src/util/number.ts"]);
    }

    #[test]
    fn a_test_that_the_text_names_leads_to_what_it_tests() {
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
        assert!(ranked[0].reasons.iter().any(|reason| reason.contains("tests that speak of the same")), "{ranked:?}");
    }

    #[test]
    fn no_text_is_too_strange_to_be_read() {
        proptest::proptest!(|(path in "[a-z/]{0,8}\\.(py|rs|go|js|ts|java|c|cpp|cs|rb|php|kt)", text in "\\PC{0,200}", title in "\\PC{0,80}")| {
            let code = format!("class A:\n  def {text}(\nfn {text} {{ \"{text}\n`{text}");
            crate::outline::outline(&path, &code);
            let index = Index::build(vec![Document::new(path, code), Document::new("b.py", "x = 1\n")]);
            index.rank(&IssueText::new(title, text), 5);
        });
    }
}
