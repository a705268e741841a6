//! The parts of one file that are shown: bodies of definitions, and an outline of the rest.

use std::ops::Range;

use patchwright_core::code_index::Definition;
use patchwright_core::llm::count_tokens;

use super::{CodeQuery, Focus, as_code};
use crate::excerpt::{Excerpt, extend_upwards};

/// Files up to this many lines are shown whole; the likeliest one up to more, if there is room.
const SMALL_FILE_LINES: usize = 80;

const MAX_WHOLE_LINES: usize = 400;

/// A definition longer than this is shown by its first lines.
pub(super) const MAX_BODY_LINES: usize = 160;

/// How many lines of a long class are shown, up to its first method.
const CLASS_HEAD_LINES: usize = 25;

/// How many definitions of one file are shown, and how many of one name.
pub(super) const MAX_BODIES: usize = 8;

const MAX_PLACES: usize = 4;

/// The most lines of an outline, of calls, of callers and of test files.
const MAX_OUTLINE: usize = 16;

/// How much of the room the parts may take, in percent.
const BODIES_SHARE: usize = 60;

/// One focused file while it is described.
pub(super) struct View<'a> {
    pub(super) path: &'a str,
    pub(super) text: String,
    pub(super) definitions: Vec<Definition>,
    pub(super) excerpt: Excerpt,
}

pub(super) fn open_view<'a>(query: &CodeQuery<'_>, focus: &'a Focus) -> Option<View<'a>> {
    let path = focus.path.as_str();
    let text = query.repository.read(path)?;
    let definitions = query.index.outline(path, &text);
    let excerpt = Excerpt::new(text.lines().count());
    Some(View { path, text, definitions, excerpt })
}

/// Shows the likeliest file whole if it is not long, then bodies in turn: the best definition of each file, then the second of
/// each, as far as there is room.
pub(super) fn show_bodies(views: &mut [View<'_>], query: &CodeQuery<'_>) {
    let mut room = query.room * BODIES_SHARE / 100;
    let is_open = |focus: &&Focus| query.repository.contains(focus.path.as_str());
    let focus: Vec<&Focus> = query.focus.iter().filter(is_open).collect();
    if let Some(first) = views.first_mut() {
        let count = first.text.lines().count();
        if count <= MAX_WHOLE_LINES {
            first.show_if_fits(0..count, &mut room);
        }
    }
    for round in 0..MAX_BODIES {
        for (view, focus) in views.iter_mut().zip(&focus) {
            for range in view.ranges_of(focus, round) {
                view.show_if_fits(range, &mut room);
            }
        }
    }
    for view in views.iter_mut().filter(|view| view.excerpt.is_empty()) {
        // Something of each, so that it can be changed.
        let first = view.text.lines().count().min(12);
        view.excerpt.show(0..first);
    }
}

impl View<'_> {
    /// Shows lines if the room suffices for those that are not shown yet.
    pub(super) fn show_if_fits(&mut self, range: Range<usize>, room: &mut usize) {
        let lines: Vec<&str> = self.text.lines().collect();
        let new: String = self.excerpt.missing(&range).map(|line| format!("{}\n", lines[line])).collect();
        let cost = count_tokens(&new);
        if cost <= *room {
            *room -= cost;
            self.excerpt.show(range);
        }
    }

    /// Returns the lines to show of the definition at a place of the order, from 0: of a type, those of its implementations too.
    pub(super) fn ranges_of(&self, focus: &Focus, round: usize) -> Vec<Range<usize>> {
        let lines: Vec<&str> = self.text.lines().collect();
        if lines.len() <= SMALL_FILE_LINES {
            return (round == 0).then_some(0..lines.len()).into_iter().collect();
        }
        let Some((name, found)) = focus.symbols.get(round) else { return Vec::new() };
        // The definition may stand elsewhere than the index said, if another version was indexed.
        let mut places: Vec<(u32, u32)> =
            self.definitions.iter().filter(|known| known.name == *name).map(|known| known.lines).collect();
        if places.is_empty() && found.0 > 0 {
            places.push(*found);
        }
        places.truncate(MAX_PLACES);
        let range = |place: (u32, u32)| {
            // The file may be shorter than the one that was indexed.
            let (from, to) =
                ((place.0 as usize).saturating_sub(1).min(lines.len()), (place.1 as usize).min(lines.len()));
            let to = if to.saturating_sub(from) > MAX_BODY_LINES { self.end_of_head(from, to) } else { to };
            extend_upwards(&lines, from)..to.max(from)
        };
        places.into_iter().map(range).collect()
    }

    /// Returns where the head of a long definition ends: before its first inner definition, or after some lines.
    fn end_of_head(&self, from: usize, to: usize) -> usize {
        let inner =
            self.definitions.iter().map(|inner| inner.lines.0 as usize - 1).find(|line| *line > from && *line < to);
        match inner {
            Some(line) => line.min(from + CLASS_HEAD_LINES),
            None => from + MAX_BODY_LINES,
        }
    }

    pub(super) fn render(&self) -> String {
        let text = self.excerpt.render(&self.text).replace("</file>", "<\\/file>");
        // A part of a file is marked as one.
        let count = self.text.lines().count();
        let lines = if self.excerpt.is_whole() { String::new() } else { format!(" lines=\"{count}\"") };
        format!("<file path=\"{}\"{lines}>\n{text}</file>", self.path)
    }

    /// Renders what else the file defines.
    pub(super) fn outline(&self) -> String {
        let is_hidden = |known: &&Definition| !self.excerpt.shows(known.lines.0 as usize - 1);
        let rest: Vec<String> = self
            .definitions
            .iter()
            .filter(is_hidden)
            .filter(|known| known.kind != "constant")
            .take(MAX_OUTLINE)
            .map(|known| format!("{}{}: {}", "  ".repeat(known.depth), known.lines.0, known.signature))
            .collect();
        if rest.is_empty() { String::new() } else { format!("Also in {}:\n{}\n", self.path, as_code(&rest)) }
    }
}
