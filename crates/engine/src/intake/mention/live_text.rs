//! The live text of a comment: what a reader sees as the writer's own words.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use super::html::HtmlTags;

/// The end of an element that spans text: the marks after `fix` in `**@bot fix**`.
pub(super) struct Closer {
    /// Where the element starts.
    pub(super) opened: usize,
    /// The closing marks.
    pub(super) range: Range<usize>,
}

/// The text of a comment, at the offsets of the source.
pub(super) struct LiveText {
    /// The source with a space for each byte that is not live.
    pub(super) text: String,
    /// The offsets at which blocks start and end.
    boundaries: Vec<usize>,
    closers: Vec<Closer>,
    /// HTML tags and comments.
    markup: Vec<Range<usize>>,
}

impl LiveText {
    /// Parses Markdown. The time is linear in the length of the source for all but contrived texts, whose length the
    /// caller bounds.
    pub(super) fn parse(source: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        let mut walk = Walk::new(source);
        for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
            walk.take(&event, range);
        }
        let mut text: Vec<u8> = source.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect();
        for range in &walk.html.live {
            text[range.clone()].copy_from_slice(&source.as_bytes()[range.clone()]);
        }
        blank_addresses(&mut text);
        let text = String::from_utf8(text).expect("whole slices of a text and ASCII are UTF-8");
        let mut boundaries = walk.boundaries;
        boundaries.extend([0, source.len()]);
        boundaries.sort_unstable();
        boundaries.dedup();
        Self { text, boundaries, closers: walk.html.closers, markup: walk.html.markup }
    }

    /// Returns the block around an offset; a block within another one ends the part before it.
    pub(super) fn block_at(&self, at: usize) -> Range<usize> {
        // A mention ends at the latest where its block does.
        let next = self.boundaries.partition_point(|boundary| *boundary < at).max(1);
        self.boundaries[next - 1]..self.boundaries.get(next).copied().unwrap_or(at)
    }

    /// Returns the first block with live text after an offset.
    pub(super) fn block_after(&self, at: usize) -> Option<Range<usize>> {
        let next = self.boundaries.partition_point(|boundary| *boundary < at);
        let blocks = self.boundaries[next..].windows(2).map(|pair| pair[0]..pair[1]);
        blocks.into_iter().find(|block| !self.text[block.clone()].trim().is_empty())
    }

    /// Returns the comment from an offset on, without the closing marks of elements that were opened before it.
    pub(super) fn without_closers<'c>(&self, comment: &'c str, from: usize) -> Cow<'c, str> {
        let first = self.closers.partition_point(|closer| closer.range.start < from);
        let closers = self.closers[first..].iter().filter(|closer| closer.opened < from);
        without(comment, from, closers.map(|closer| &closer.range))
    }

    /// Returns the comment from an offset on, without those marks and without HTML tags and comments.
    pub(super) fn without_markup(&self, comment: &str, from: usize) -> String {
        let first = self.markup.partition_point(|range| range.start < from);
        let closers = self.closers.iter().filter(|closer| closer.opened < from && closer.range.start >= from);
        let mut ranges: Vec<_> = closers.map(|closer| &closer.range).chain(&self.markup[first..]).collect();
        ranges.sort_by_key(|range| range.start);
        without(comment, from, ranges.into_iter()).into_owned()
    }
}

/// Returns a text from an offset on without some ranges, which are sorted by their start.
fn without<'c, 'r>(text: &'c str, from: usize, ranges: impl Iterator<Item = &'r Range<usize>>) -> Cow<'c, str> {
    let (mut at, mut out) = (from, String::new());
    for range in ranges.filter(|range| !range.is_empty()) {
        out.push_str(&text[at..range.start.max(at)]);
        at = at.max(range.end);
    }
    if out.is_empty() { Cow::Borrowed(&text[at..]) } else { Cow::Owned(out + &text[at..]) }
}

/// The walk over the events of the parser.
struct Walk<'a> {
    source: &'a str,
    html: HtmlTags,
    boundaries: Vec<usize>,
    /// Whether each open element hides its text, and whether it is a quotation.
    open: Vec<Hides>,
    hidden: usize,
    quoted: usize,
    /// The last line in a quotation that was looked at, and whether it has the mark of one.
    line: (Range<usize>, bool),
    /// The end of the event before.
    last: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hides {
    Nothing,
    Text,
    MarkedLines,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str) -> Self {
        let (html, boundaries, open) = (HtmlTags::default(), Vec::new(), Vec::new());
        Self { source, html, boundaries, open, hidden: 0, quoted: 0, line: (0..0, false), last: 0 }
    }

    fn take(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.start(tag, &range);
                self.last = range.start;
                return;
            }
            Event::End(tag) => self.end(*tag, &range),
            Event::Text(_) if self.is_live(range.start) => self.html.live_text(range.clone()),
            Event::InlineHtml(_) if self.hidden == 0 => {
                self.html.read_inline(self.source, range.clone());
            }
            _ => {}
        }
        self.last = range.end;
    }

    fn start(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        if is_block(tag.to_end()) {
            self.boundaries.push(range.start);
            self.html.end_block();
        }
        if *tag == Tag::HtmlBlock && self.hidden + self.quoted == 0 {
            self.html.read_block(self.source, range.clone());
        }
        let hides = match tag {
            Tag::BlockQuote(_) => Hides::MarkedLines,
            Tag::CodeBlock(_)
            | Tag::HtmlBlock
            | Tag::Image { .. }
            | Tag::Strikethrough
            | Tag::Link { link_type: LinkType::Autolink | LinkType::Email, .. } => Hides::Text,
            _ => Hides::Nothing,
        };
        self.open.push(hides);
        self.hidden += usize::from(hides == Hides::Text);
        self.quoted += usize::from(hides == Hides::MarkedLines);
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        let hides = self.open.pop().unwrap_or(Hides::Nothing);
        self.hidden -= usize::from(hides == Hides::Text);
        self.quoted -= usize::from(hides == Hides::MarkedLines);
        if is_block(tag) {
            self.boundaries.push(range.end);
            self.html.end_block();
        } else if self.last < range.end {
            self.html.closers.push(Closer { opened: range.start, range: self.last..range.end });
        }
    }

    /// Returns whether the text at an offset is live. In a quotation the lines without its mark are: Markdown counts
    /// them to the paragraph before, but their writer does not.
    fn is_live(&mut self, at: usize) -> bool {
        if self.hidden > 0 {
            return false;
        }
        if self.quoted == 0 {
            return true;
        }
        if !self.line.0.contains(&at) {
            let start = self.source[..at].rfind('\n').map_or(0, |end| end + 1);
            let end = self.source[at..].find('\n').map_or(self.source.len(), |end| at + end + 1);
            let is_list_mark = |c: char| c.is_whitespace() || c.is_ascii_digit() || "-*+.)".contains(c);
            let is_marked = self.source[start..end].trim_start_matches(is_list_mark).starts_with('>');
            self.line = (start..end, is_marked);
        }
        !self.line.1
    }
}

const fn is_block(tag: TagEnd) -> bool {
    !matches!(
        tag,
        TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
    )
}

/// Blanks addresses such as `https://example.com/@patchwright`, which the platforms link without a mark. They end at
/// white space and at the first character that is not ASCII, as addresses in Chinese sentences do.
fn blank_addresses(text: &mut [u8]) {
    let is_address = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let mut at = 0;
    while at + 4 <= text.len() {
        let starts_word = at == 0 || !is_scheme(&text[at - 1]);
        let is_www = starts_word && text[at..at + 4].eq_ignore_ascii_case(b"www.");
        if !is_www && !text[at..].starts_with(b"://") {
            at += 1;
            continue;
        }
        let start = at - text[..at].iter().rev().take_while(|byte| is_scheme(byte)).count();
        let end = at + text[at..].iter().take_while(|byte| is_address(**byte)).count();
        text[start..end].fill(b' ');
        at = end;
    }
}
