//! The HTML in a comment, which the platforms show: its text is live, except in code and quotations.

use std::ops::Range;

use super::live_text::Closer;

/// The elements whose text is not live.
const HIDING: [&str; 13] =
    ["pre", "code", "blockquote", "samp", "kbd", "tt", "s", "del", "script", "style", "textarea", "template", "iframe"];

/// Elements without an end tag.
const VOID: [&str; 6] = ["br", "img", "hr", "input", "wbr", "source"];

/// How many open elements an end tag is compared with.
const MAX_COMPARED: usize = 16;

/// The tags that were read so far, and what follows from them.
#[derive(Default)]
pub(super) struct HtmlTags {
    /// The live text, in order.
    pub(super) live: Vec<Range<usize>>,
    /// The ends of elements, in order.
    pub(super) closers: Vec<Closer>,
    /// Tags and comments, in order.
    pub(super) markup: Vec<Range<usize>>,
    /// The open elements that hide text, which were opened by HTML blocks.
    hiding: [usize; HIDING.len()],
    /// Those that were opened in the current paragraph, and end with it.
    hiding_inline: [usize; HIDING.len()],
    /// The names and offsets of open elements.
    open: Vec<(String, usize)>,
    /// The end of a comment that goes on after its block.
    comment_end: usize,
}

impl HtmlTags {
    /// Adds text outside of tags.
    pub(super) fn live_text(&mut self, range: Range<usize>) {
        let hides = self.hiding.iter().chain(&self.hiding_inline).any(|count| *count > 0);
        if !hides && range.start >= self.comment_end {
            self.live.push(range);
        }
    }

    /// Ends the elements that were opened in a paragraph.
    pub(super) fn end_block(&mut self) {
        self.hiding_inline = [0; HIDING.len()];
    }

    /// Reads one tag or comment in a paragraph.
    pub(super) fn read_inline(&mut self, source: &str, range: Range<usize>) {
        self.read_tag(source, range, true);
    }

    /// Reads an HTML block: text, tags and comments.
    pub(super) fn read_block(&mut self, source: &str, block: Range<usize>) {
        let mut at = block.start.max(self.comment_end.min(block.end));
        while at < block.end {
            let rest = &source[at..block.end];
            let text = tag_start(rest).unwrap_or(rest.len());
            if text > 0 {
                self.live_text(at..at + text);
            }
            at += text;
            if at >= block.end {
                return;
            }
            let rest = &source[at..block.end];
            let end = if rest.starts_with("<!--") {
                // A comment goes on after the block, if it does not end before.
                self.comment_end = source[at..].find("-->").map_or(source.len(), |end| at + end + 3);
                self.comment_end
            } else {
                at + tag_end(rest)
            };
            self.read_tag(source, at..end.max(at + 1), false);
            at = end.max(at + 1);
        }
    }

    fn read_tag(&mut self, source: &str, range: Range<usize>, is_inline: bool) {
        self.markup.push(range.clone());
        let tag = source[range.clone()].trim_start_matches('<');
        let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
        if name.is_empty() || VOID.contains(&name.as_str()) {
            return;
        }
        if let Some(index) = HIDING.iter().position(|hiding| *hiding == name) {
            let counts = if is_inline { &mut self.hiding_inline } else { &mut self.hiding };
            if !is_end {
                counts[index] += 1;
            } else if self.hiding_inline[index] > 0 {
                self.hiding_inline[index] -= 1;
            } else {
                self.hiding[index] = self.hiding[index].saturating_sub(1);
            }
        }
        if !is_end {
            self.open.push((name, range.start));
            return;
        }
        let opened = self.open.iter().rev().take(MAX_COMPARED).position(|(open, _)| *open == name);
        if let Some(back) = opened {
            let index = self.open.len() - 1 - back;
            let opened = self.open[index].1;
            self.open.truncate(index);
            self.closers.push(Closer { opened, range });
        }
    }
}

/// Returns where the first tag or comment starts.
fn tag_start(text: &str) -> Option<usize> {
    text.match_indices('<')
        .map(|(at, _)| at)
        .find(|at| text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')))
}

/// Returns the length of the tag at the start of a text: to its `>` outside of quoted values, or to the end.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}
