//! The code that a plan is made from: bodies of the likely definitions, what they call and who calls them, the tests that
//! exercise them, and what the repository says about itself. Never whole files beyond a few lines.

mod calls;
mod instructions;
mod tests_near;
mod view;

use std::fmt::Write as _;
use std::ops::Range;

use patchwright_core::code_index::CodeIndex;
use patchwright_core::llm::count_tokens;
use patchwright_domain::RepoPath;

use self::calls::{describe_callers, describe_calls, is_product};
use self::instructions::describe_instructions;
use self::tests_near::{describe_test_file, describe_tests};
use self::view::{MAX_BODIES, MAX_BODY_LINES, View, open_view, show_bodies};
use crate::repository::Repository;

/// A file that the issue is likely about, with its likeliest definitions: their names and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) path: RepoPath,
    pub(crate) symbols: Vec<(String, (u32, u32))>,
}

/// What is described, and in how many tokens.
pub(crate) struct CodeQuery<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) index: &'a dyn CodeIndex,
    pub(crate) focus: &'a [Focus],
    /// The title: of several tests, one that is about the same is shown.
    pub(crate) title: &'a str,
    /// How tests are run here, for the model; empty if nobody knows.
    pub(crate) suites: &'a [String],
    /// The most tokens of all.
    pub(crate) room: usize,
}

/// How much of the room each part besides the bodies may take, in percent.
const TESTS_SHARE: usize = 20;
const CALLS_SHARE: usize = 10;
const CALLERS_SHARE: usize = 8;
const OUTLINE_SHARE: usize = 6;
const INSTRUCTIONS_SHARE: usize = 8;
const PATHS_SHARE: usize = 40;
/// How many files have their outline shown.
const OUTLINES: usize = 2;

/// Renders the code for a prompt, as data.
pub(crate) fn describe_code(query: &CodeQuery<'_>) -> String {
    let mut views: Vec<View<'_>> = query.focus.iter().filter_map(|focus| open_view(query, focus)).collect();
    show_bodies(&mut views, query);
    let mut out = String::new();
    for view in &views {
        let _ = writeln!(out, "{}\n", view.render());
    }
    let mut left = query.room.saturating_sub(count_tokens(&out));
    let mut add = |text: String, share: usize| {
        let text = within(&text, left.min(query.room * share / 100));
        left = left.saturating_sub(count_tokens(&text));
        out.push_str(&text);
    };
    let names = focused_names(&views, query.focus);
    add(describe_tests(query, &views, &names), TESTS_SHARE);
    add(describe_calls(query, &views), CALLS_SHARE);
    add(describe_callers(query, &names), CALLERS_SHARE);
    for view in views.iter().take(OUTLINES) {
        add(view.outline(), OUTLINE_SHARE);
    }
    add(describe_instructions(query.repository), INSTRUCTIONS_SHARE);
    if views.is_empty() {
        add(list_files(query.repository), PATHS_SHARE);
    }
    if !query.suites.is_empty() {
        out.push_str(&format!("Tests run here with: {}\n", query.suites.join(", ")));
    }
    out
}

/// Renders, as data, what of the focus a text does not show: files that it shows nothing of, and named definitions.
pub(crate) fn describe_unseen(query: &CodeQuery<'_>, shown: &str) -> String {
    let mut out = String::new();
    let mut room = query.room;
    for focus in query.focus {
        let Some(mut view) = open_view(query, focus) else { continue };
        let path = focus.path.as_str();
        let is_known = ["file", "test"].iter().any(|tag| shown.contains(&format!("<{tag} path=\"{path}\"")));
        if focus.path.is_test() {
            if !is_known {
                out.push_str(&describe_test_file(query, &view.text, path));
            }
            continue;
        }
        for round in 0..focus.symbols.len().min(MAX_BODIES) {
            for range in view.ranges_of(focus, round) {
                if !shows(shown, &view.text, &range) {
                    view.show_if_fits(range, &mut room);
                }
            }
        }
        if !is_known && view.excerpt.is_empty() {
            let whole = view.text.lines().count();
            view.show_if_fits(0..whole.min(MAX_BODY_LINES), &mut room);
        }
        if !view.excerpt.is_empty() {
            out.push_str(&format!("{}\n", view.render()));
        }
    }
    out
}

/// Returns whether a text shows the first lines of a range.
fn shows(shown: &str, text: &str, range: &Range<usize>) -> bool {
    let lines: Vec<&str> = text.lines().skip(range.start).take(range.len().min(4)).collect();
    shown.contains(&lines.join("\n"))
}

/// Renders the paths of the repository, where nothing is known about which of them matter.
fn list_files(repository: &Repository) -> String {
    let mut paths: Vec<&str> = repository.paths().collect();
    paths.sort_by_key(|path| (!is_product(path), path.matches('/').count()));
    format!("No file matches the issue's words. The repository has, among others:\n{}\n\n", paths.join("\n"))
}

/// Renders lines of the repository as data.
fn as_code(lines: &[String]) -> String {
    format!("<code>\n{}\n</code>\n", lines.join("\n").replace("</code>", "<\\/code>"))
}

/// How many names tests and callers are looked for by.
const MAX_NAMES: usize = 5;

/// Returns the names of the definitions in focus that other code would use, the likeliest first.
fn focused_names(views: &[View<'_>], focus: &[Focus]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let symbols = focus.iter().flat_map(|focus| focus.symbols.iter().take(2).map(|(name, _)| name.clone()));
    let whole = views.iter().filter(|view| view.excerpt.is_whole());
    let inner =
        whole.flat_map(|view| view.definitions.iter().filter(|known| known.kind == "function" && known.depth == 0));
    for name in symbols.chain(inner.map(|known| known.name.clone())) {
        let own = name.rsplit('.').next().unwrap_or(&name).to_owned();
        if own.len() > 2 && !own.starts_with("__") && own != "constructor" && !names.contains(&own) {
            names.push(own);
        }
    }
    names.truncate(MAX_NAMES);
    names
}

/// Returns as many whole lines of a text as fit; closes a tag that is cut off.
fn within(text: &str, room: usize) -> String {
    if count_tokens(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 8;
    for line in text.split_inclusive('\n') {
        used += count_tokens(line);
        if used > room {
            break;
        }
        out.push_str(line);
    }
    let is_more_than_a_heading = out.lines().nth(2).is_some();
    if !is_more_than_a_heading {
        return String::new();
    }
    for (open, close) in [("<test ", "</test>"), ("<code>", "</code>"), ("<instructions ", "</instructions>")] {
        if out.matches(open).count() > out.matches(close).count() {
            let _ = writeln!(out, "[the rest is not shown]\n{close}");
        }
    }
    out
}
