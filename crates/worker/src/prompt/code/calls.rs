//! What the shown code calls, and who calls it.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::tests_near::is_test;
use super::view::View;
use super::{CodeQuery, as_code};
use crate::repository::{Repository, SourceText, is_code};

/// A name that is used more often says nothing about who calls this one.
const MAX_USES: usize = 15;

const MAX_CALLS: usize = 12;

const MAX_CALLERS: usize = 8;

/// Names that are called everywhere and say nothing.
const COMMON: [&str; 40] = [
    "if",
    "for",
    "while",
    "switch",
    "match",
    "return",
    "catch",
    "print",
    "len",
    "str",
    "int",
    "list",
    "dict",
    "set",
    "isinstance",
    "super",
    "range",
    "super",
    "append",
    "get",
    "map",
    "filter",
    "join",
    "format",
    "assert",
    "sizeof",
    "require",
    "Some",
    "Ok",
    "Err",
    "vec",
    "String",
    "push",
    "unwrap",
    "clone",
    "into",
    "test",
    "it",
    "describe",
    "expect",
];

/// Renders the declarations of what the shown bodies call.
pub(super) fn describe_calls(query: &CodeQuery<'_>, views: &[View<'_>]) -> String {
    // A method of something else may be anybody's.
    let call =
        Regex::new(r"(self\.|this\.|cls\.|Self::|\.)?\b([A-Za-z_]\w{2,})\s*\(").expect("the expression is valid");
    let shown: Vec<String> = views.iter().map(|view| view.excerpt.render(&view.text)).collect();
    // Those of the own object are in the files in focus; others may be anywhere.
    let (mut own_names, mut names) = (BTreeSet::new(), BTreeSet::new());
    for text in &shown {
        for found in call.captures_iter(text) {
            let owner = found.get(1).map_or("", |owner| owner.as_str());
            let name = found.get(2).map_or("", |name| name.as_str());
            match owner {
                "." => {}
                _ if COMMON.contains(&name) => {}
                "" => drop(names.insert(name)),
                _ => drop(own_names.insert(name)),
            }
        }
    }
    let mut lines = Vec::new();
    let mut known = BTreeSet::new();
    for view in views {
        for definition in &view.definitions {
            let own = definition.name.rsplit('.').next().unwrap_or(&definition.name);
            let is_called = names.contains(own) || own_names.contains(own);
            if is_called && known.insert(own.to_owned()) && !view.excerpt.shows(definition.lines.0 as usize - 1) {
                lines.push(format!("{}:{}: {}", view.path, definition.lines.0, definition.signature));
            }
        }
    }
    names.retain(|name| !known.contains(*name));
    lines.extend(find_definitions(query.repository, &names, views));
    lines.truncate(MAX_CALLS);
    if lines.is_empty() { String::new() } else { format!("What it calls:\n{}\n", as_code(&lines)) }
}

/// Finds the lines that define names, outside of the files in focus.
fn find_definitions(repository: &Repository, names: &BTreeSet<&str>, views: &[View<'_>]) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let define = Regex::new(
        r"^\s*(?:[\w()]+\s+)*?(?:def|fn|func|function|class|struct|trait|interface)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)",
    )
    .expect("the expression is valid");
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let others = repository
        .searched()
        .iter()
        .filter(|source| is_product(&source.path) && views.iter().all(|view| view.path != source.path));
    for SourceText { path, text } in others {
        for (number, line) in text.lines().enumerate() {
            let Some(name) = define.captures(line).and_then(|found| found.get(1)) else { continue };
            if let Some(name) = names.get(name.as_str()) {
                let signature: String = line.trim().trim_end_matches(['{', ':', ' ']).chars().take(140).collect();
                found.entry(name).or_default().push(format!("{path}:{}: {signature}", number + 1));
            }
        }
    }
    // A name that is defined in many places says nothing about this call.
    found.into_values().filter(|places| places.len() == 1).flatten().collect()
}

/// Renders the lines that use the definitions in focus.
pub(super) fn describe_callers(query: &CodeQuery<'_>, names: &[String]) -> String {
    let mut lines = Vec::new();
    for name in names.iter().take(2) {
        let uses = find_uses(query.repository, name);
        if uses.len() <= MAX_USES {
            lines.extend(uses.into_iter().take(MAX_CALLERS / 2));
        }
    }
    if lines.is_empty() { String::new() } else { format!("Who calls it:\n{}\n", as_code(&lines)) }
}

/// Finds the lines of the product's code that call a name.
fn find_uses(repository: &Repository, name: &str) -> Vec<String> {
    let name = regex::escape(name);
    let used = Regex::new(&format!(r"\b{name}\s*\("));
    let define = Regex::new(&format!(r"\b(?:def|fn|fun|func|function|class)\s+(?:\([^)]*\)\s*)?{name}\b"));
    let (Ok(used), Ok(define)) = (used, define) else { return Vec::new() };
    let mut lines = Vec::new();
    for SourceText { path, text } in repository.searched().iter().filter(|source| is_product(&source.path)) {
        if !used.is_match(text) {
            continue;
        }
        let is_call = |line: &str| used.is_match(line) && !define.is_match(line) && !is_comment(line);
        let places = text.lines().enumerate().filter(|(_, line)| is_call(line));
        lines.extend(places.map(|(number, line)| {
            format!("{path}:{}: {}", number + 1, line.trim().chars().take(120).collect::<String>())
        }));
        if lines.len() > MAX_USES {
            break;
        }
    }
    lines
}

fn is_comment(line: &str) -> bool {
    ["#", "//", "*", "/*", "--"].iter().any(|mark| line.trim_start().starts_with(mark))
}

/// Folders of code that nobody ships.
const AUXILIARY: [&str; 10] =
    ["bench", "benches", "benchmark", "benchmarks", "scripts", "tools", "examples", "doc", "docs", "fixtures"];

/// Returns whether a file is code of the product: no test, benchmark or example.
pub(super) fn is_product(path: &str) -> bool {
    is_code(path) && !is_test(path) && !path.split('/').any(|part| AUXILIARY.contains(&part))
}
