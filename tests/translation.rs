//! Every sentence that the server may show on a page or in a comment is known in Chinese: each literal of the files that make such
//! sentences is looked up as if something stood in its places.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use patchwright_core::translation::to_chinese;
use proc_macro2::{TokenStream, TokenTree};

/// The files and folders, below `crates`, whose texts people read in their language.
const SOURCES: &[&str] = &[
    "code-index/src/explain.rs",
    "core/src/accounts.rs",
    "core/src/forge.rs",
    "core/src/git.rs",
    "core/src/jira.rs",
    "core/src/jira_oauth.rs",
    "core/src/ledger.rs",
    "core/src/llm.rs",
    "core/src/node_client.rs",
    "core/src/sandbox.rs",
    "core/src/store.rs",
    "core/src/task_session.rs",
    "core/src/tracker.rs",
    "core/src/webhook.rs",
    "dashboard/src/web",
    "domain/src/branch.rs",
    "domain/src/job/advance.rs",
    "domain/src/path.rs",
    "domain/src/protected.rs",
    "domain/src/refused.rs",
    "domain/src/repository_settings.rs",
    "domain/src/sandbox_grants.rs",
    "engine/src/admission.rs",
    "engine/src/change.rs",
    "engine/src/control.rs",
    "engine/src/issues.rs",
    "engine/src/nodes.rs",
    "engine/src/task_session.rs",
    "management/src",
    "server/src/config",
    "server/src/doctor.rs",
    "worker/src/budgeted_llm.rs",
    "worker/src/run.rs",
    "worker/src/stage/fix/mod.rs",
    "worker/src/stage/propose.rs",
    "worker/src/stage/rebase.rs",
    "worker/src/verification/judge.rs",
    "worker/src/worker.rs",
];

/// Texts that are no sentence for people: they go to the model, into commits, into the audit log, or are a part of a sentence
/// whose whole is known.
const OTHERS: &[&str] = &[
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "form-action 'self' 7",
    "public, max-age=31536000, immutable",
    "7=7; HttpOnly; SameSite=Lax7; Path=/welcome/app; Max-Age=7",
    "7=7; HttpOnly; SameSite=Lax7; Path=/; Max-Age=7",
    "7=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
    "order of issues",
    "status of an issue",
    "status of a job",
    "thing to group by",
    "Commit `7`, made by the node",
    ", in `7`",
    "it is in the stack trace7",
    "; allow this account to push to such branches",
    "; free space there, or raise the limit",
    "7 in 7",
    "it is not 7",
    "`7` is not 7",
    "`7` is not a 7",
    "7 that is 7 cannot 7",
    "the 7 has at most 7 characters",
    "there is no 7 with this id",
    "7 is set by the 7, which wins over a stored value; remove it there to change it here",
    "%Y-%m-%d %H:%M UTC",
    "filter 7 7",
    "Mac OS X",
    "- 7 7",
    "- 7: 7",
    "7 / 7",
    "A test of this channel",
    "nobody has this password",
    "; 7: 7",
    "; packages are fetched where that runs code",
    "tests: 7; CI rounds: 77",
    ", new password",
    "read:me read:jira-user read:jira-work",
    "7: unknown key `7`7; `patchwright config` lists all keys",
    " (did you mean `7`?)",
    "Answer with the one word: ready",
    "asking the model for a plan",
    "reading the code",
    "rebasing the branch onto 7",
    "resolving the conflict of 7",
    "That cannot be used: 7.",
    "looking at the repository",
    ", and failed before the change too",
    "7 failed before the change and passed after it7",
    "; `7` ended with code 7 beside them7",
    "; not all of the other tests could be run",
    "the tests 7",
    "patchwright login transactions v1",
];

/// From how many words on a literal is taken for a sentence.
const MIN_WORDS: usize = 3;

fn rust_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let is_source = entry.is_dir() || entry.extension().is_some_and(|extension| extension == "rs");
        if is_source && entry.file_name().is_some_and(|name| name != "tests.rs") {
            rust_files(&entry, files);
        }
    }
}

/// Collects the literals of tokens, without comments, tests, log messages, and what a program says when it ends at a fault of its own.
fn literals(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let text = |at: usize| tokens.get(at).map(ToString::to_string).unwrap_or_default();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(name) if ["expect", "unreachable", "panic"].iter().any(|skipped| name == skipped) => {
                at += if text(at + 1) == "!" { 2 } else { 1 };
            }
            // `tracing::warn!(…)`
            TokenTree::Ident(name) if name == "tracing" => at += 5,
            TokenTree::Punct(mark) if mark.as_char() == '#' => match text(at + 1) {
                attribute if attribute.starts_with("[cfg (test)") || attribute.starts_with("[cfg(test)") => {
                    // The module, with its name and its body.
                    at += 4;
                }
                attribute if attribute.starts_with("[doc") => at += 1,
                inner if inner == "!" => at += 2,
                _ => {}
            },
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let written = literal.to_string();
                if let Some(quoted) = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                    found.push(quoted.to_owned());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        at += 1;
    }
}

/// Returns a literal as a sentence: without its line breaks, and with something in each of its places.
fn render_literal(literal: &str) -> String {
    let mut out = String::new();
    let mut rest = literal;
    while let Some(start) = rest.find(['{', '\\']) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            let escape = escaped.chars().next().unwrap();
            rest = &escaped[escape.len_utf8()..];
            match escape {
                '\n' => rest = rest.trim_start(),
                'n' => out.push('\n'),
                other => out.push(other),
            }
        } else if let Some(after) = rest.strip_prefix("{{") {
            out.push('{');
            rest = after;
        } else if let Some((_, after)) = rest.split_once('}') {
            out.push('7');
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[test]
fn every_sentence_for_people_is_known_in_chinese() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for source in SOURCES {
        rust_files(&crates.join(source), &mut files);
    }
    let mut unknown = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        let mut found = Vec::new();
        literals(TokenStream::from_str(&source).unwrap(), &mut found);
        for literal in found {
            let sentence = render_literal(&literal);
            let is_short = sentence.split_whitespace().count() < MIN_WORDS;
            let is_known = to_chinese(&sentence).is_some() || OTHERS.contains(&sentence.as_str());
            if !is_short && !is_known && sentence.is_ascii() && !sentence.contains('\n') {
                unknown.push(format!("{}: {sentence}", file.strip_prefix(&crates).unwrap().display()));
            }
        }
    }
    assert!(unknown.is_empty(), "not in crates/core/src/translation:\n{}", unknown.join("\n"));
}
