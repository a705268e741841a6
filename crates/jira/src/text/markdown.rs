//! Markdown (`CommonMark` with tables and strikethrough).

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{Block, Inline, MAX_DEPTH, is_safe, plain, push_linked, push_text};

/// Converts Markdown with tables and strikethrough into blocks. Of HTML, `<details>`, `<sub>` and `<br>` are supported; other
/// tags are left out and their content is kept.
pub fn from_markdown(text: &str) -> Vec<Block> {
    let mut reader = Reader { open: vec![Open::blocks(Kind::Root)], inlines: Vec::new(), table: None };
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        reader.read(event);
    }
    reader.finish()
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Root,
    Quote,
    List(bool),
    Item,
    Details(String),
}

/// A block that is not complete yet.
struct Open {
    kind: Kind,
    blocks: Vec<Block>,
    items: Vec<Vec<Block>>,
}

impl Open {
    const fn blocks(kind: Kind) -> Self {
        Self { kind, blocks: Vec::new(), items: Vec::new() }
    }
}

/// The element around the following text.
enum Format {
    Strong,
    Emphasis,
    Strike,
    /// The address of a link, or the language of a code block.
    Link(String),
    /// A paragraph, a heading or a cell.
    Whole,
    /// An element whose form is dropped.
    Plain,
}

#[derive(Default)]
struct TableParts {
    head: Vec<Vec<Inline>>,
    rows: Vec<Vec<Vec<Inline>>>,
    in_head: bool,
}

struct Reader {
    open: Vec<Open>,
    inlines: Vec<(Format, Vec<Inline>)>,
    table: Option<TableParts>,
}

impl Reader {
    fn read(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(code) => self.inline(Inline::Code(code.into_string())),
            Event::SoftBreak | Event::HardBreak => self.inline(Inline::Break),
            Event::Rule => self.block(Block::Rule),
            Event::Html(html) => self.html(html.trim()),
            Event::InlineHtml(html) if html.starts_with("<br") => self.inline(Inline::Break),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::TableCell => self.begin(Format::Whole),
            Tag::Strong => self.begin(Format::Strong),
            Tag::Emphasis => self.begin(Format::Emphasis),
            Tag::Strikethrough => self.begin(Format::Strike),
            Tag::Link { dest_url, .. } => self.begin(Format::Link(dest_url.into_string())),
            Tag::Image { .. } => self.begin(Format::Plain),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.begin(Format::Link(language));
            }
            Tag::BlockQuote(_) => self.open.push(Open::blocks(Kind::Quote)),
            Tag::List(first) => self.open.push(Open::blocks(Kind::List(first.is_some()))),
            Tag::Item => {
                self.open.push(Open::blocks(Kind::Item));
                // The text of a tight item is not in a paragraph.
                self.begin(Format::Whole);
            }
            Tag::Table(_) => self.table = Some(TableParts::default()),
            Tag::TableHead => self.row(true),
            Tag::TableRow => self.row(false),
            _ => {}
        }
    }

    fn row(&mut self, is_head: bool) {
        if let Some(table) = &mut self.table {
            table.in_head = is_head;
            if !is_head {
                table.rows.push(Vec::new());
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.end_paragraph(),
            TagEnd::Heading(level) => {
                let inlines = self.finish_inlines();
                self.block(Block::Heading(level as u8, inlines));
            }
            TagEnd::TableCell => {
                let cell = self.finish_inlines();
                if let Some(table) = &mut self.table {
                    let row = if table.in_head { Some(&mut table.head) } else { table.rows.last_mut() };
                    if let Some(row) = row {
                        row.push(cell);
                    }
                }
            }
            TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image => {
                self.end_format();
            }
            TagEnd::CodeBlock => {
                let Some((Format::Link(language), inner)) = self.inlines.pop() else { return };
                let text = plain(&inner).trim_end_matches('\n').to_owned();
                self.flush_item();
                self.block(Block::Code { language, text });
            }
            TagEnd::BlockQuote(_) | TagEnd::List(_) => self.close(),
            TagEnd::Item => {
                self.flush_item();
                self.inlines.pop();
                if let Some(item) = self.open.pop()
                    && let Some(list) = self.open.last_mut()
                {
                    list.items.push(item.blocks);
                }
            }
            TagEnd::Table => {
                if let Some(TableParts { head, rows, .. }) = self.table.take() {
                    self.block(Block::Table { head, rows });
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, format: Format) {
        if matches!(format, Format::Whole) && self.table.is_none() {
            self.flush_item();
        }
        self.inlines.push((format, Vec::new()));
    }

    /// Ends the text of a tight item as a paragraph before another block starts in it.
    fn flush_item(&mut self) {
        if self.open.last().is_some_and(|open| open.kind == Kind::Item)
            && let Some((Format::Whole, inner)) = self.inlines.last_mut()
            && !inner.is_empty()
        {
            let paragraph = Block::Paragraph(trim_breaks(std::mem::take(inner)));
            self.block(paragraph);
        }
    }

    fn end_paragraph(&mut self) {
        let inlines = self.finish_inlines();
        if !inlines.is_empty() {
            self.block(Block::Paragraph(inlines));
        }
    }

    fn end_format(&mut self) {
        let Some((format, inner)) = self.inlines.pop() else { return };
        let deep = self.inlines.len() > MAX_DEPTH;
        match format {
            _ if deep => self.text(&plain(&inner)),
            Format::Strong => self.inline(Inline::Strong(inner)),
            Format::Emphasis => self.inline(Inline::Emphasis(inner)),
            Format::Strike => self.inline(Inline::Strike(inner)),
            Format::Link(url) if is_safe(&url) => self.inline(Inline::Link { text: inner, url }),
            Format::Link(_) | Format::Whole | Format::Plain => inner.into_iter().for_each(|inline| self.inline(inline)),
        }
    }

    fn finish_inlines(&mut self) -> Vec<Inline> {
        self.inlines.pop().map(|(_, inner)| trim_breaks(inner)).unwrap_or_default()
    }

    fn text(&mut self, text: &str) {
        match self.inlines.last_mut() {
            // An address in the text of a link is not a link of its own.
            Some((Format::Link(_), inner)) => push_text(inner, text),
            Some((_, inner)) => push_linked(inner, text),
            None => {}
        }
    }

    fn inline(&mut self, inline: Inline) {
        match (self.inlines.last_mut(), inline) {
            (Some((_, inner)), Inline::Text(text)) => push_text(inner, &text),
            (Some((_, inner)), inline) => inner.push(inline),
            (None, _) => {}
        }
    }

    fn html(&mut self, html: &str) {
        if let Some(rest) = html.strip_prefix("<details>") {
            let summary = rest.trim().strip_prefix("<summary>").and_then(|rest| rest.split("</summary>").next());
            self.open.push(Open::blocks(Kind::Details(summary.unwrap_or_default().trim().to_owned())));
        } else if html.starts_with("</details>")
            && self.open.last().is_some_and(|open| matches!(open.kind, Kind::Details(_)))
        {
            self.close();
        } else if let Some(inner) = html.strip_prefix("<sub>") {
            // The footer of Patchwright's comments is in `<sub>`.
            let mut line = from_markdown(inner.trim_end_matches("</sub>"));
            self.open.last_mut().expect("the root is never closed").blocks.append(&mut line);
        }
    }

    fn block(&mut self, block: Block) {
        self.open.last_mut().expect("the root is never closed").blocks.push(block);
    }

    fn close(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let Some(Open { kind, blocks, items }) = self.open.pop() else { return };
        self.flush_item();
        let deep = self.open.len() > MAX_DEPTH;
        match kind {
            Kind::Quote if !deep => self.block(Block::Quote(blocks)),
            Kind::List(ordered) if !deep => self.block(Block::List { ordered, items }),
            Kind::Details(summary) if !deep => self.block(Block::Details { summary, blocks }),
            _ => blocks.into_iter().chain(items.into_iter().flatten()).for_each(|block| self.block(block)),
        }
    }

    fn finish(mut self) -> Vec<Block> {
        while self.open.len() > 1 {
            self.close();
        }
        self.open.pop().map(|root| root.blocks).unwrap_or_default()
    }
}

/// Removes line breaks at both ends.
fn trim_breaks(mut inlines: Vec<Inline>) -> Vec<Inline> {
    while matches!(inlines.last(), Some(Inline::Break)) {
        inlines.pop();
    }
    while matches!(inlines.first(), Some(Inline::Break)) {
        inlines.remove(0);
    }
    inlines
}

/// Converts blocks into Markdown. `mention` formats the mention of an account (id, name).
pub fn to_markdown(blocks: &[Block], mention: &dyn Fn(&str, &str) -> String) -> String {
    let parts: Vec<String> = blocks.iter().map(|block| block_text(block, mention)).collect();
    parts.join("\n\n")
}

fn block_text(block: &Block, mention: &dyn Fn(&str, &str) -> String) -> String {
    match block {
        Block::Heading(level, inlines) => {
            format!("{} {}", "#".repeat(usize::from(*level).clamp(1, 6)), one_line(&inline_text(inlines, mention)))
        }
        Block::Paragraph(inlines) => paragraph(inlines, mention),
        Block::Code { language, text } => fenced(language, text),
        Block::Quote(blocks) => prefix_lines(&to_markdown(blocks, mention), "> ", "> "),
        Block::List { ordered, items } => {
            let item = |(at, blocks): (usize, &Vec<Block>)| {
                let sign = if *ordered { format!("{}. ", at + 1) } else { "- ".to_owned() };
                let parts: Vec<String> = blocks.iter().map(|block| block_text(block, mention)).collect();
                // An item with more than one block is loose, unless the others are nested lists.
                let loose = blocks.iter().skip(1).any(|block| !matches!(block, Block::List { .. }));
                prefix_lines(&parts.join(if loose { "\n\n" } else { "\n" }), &sign, &" ".repeat(sign.len()))
            };
            items.iter().enumerate().map(item).collect::<Vec<_>>().join("\n")
        }
        Block::Table { head, rows } => table(head, rows, mention),
        Block::Rule => "---".to_owned(),
        Block::Details { summary, blocks } => {
            let summary = summary.replace(['<', '>'], "");
            let inner = to_markdown(blocks, mention);
            format!("<details><summary>{summary}</summary>\n\n{inner}\n\n</details>")
        }
    }
}

fn fenced(language: &str, text: &str) -> String {
    let longest = text.lines().map(|line| line.trim_start().bytes().take_while(|b| *b == b'`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    let language: String = language.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '+' | '#')).collect();
    format!("{fence}{language}\n{text}\n{fence}")
}

fn prefix_lines(text: &str, first: &str, others: &str) -> String {
    let line = |(at, line): (usize, &str)| {
        let prefix = if at == 0 { first } else { others };
        format!("{prefix}{line}").trim_end().to_owned()
    };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn table(head: &[Vec<Inline>], rows: &[Vec<Vec<Inline>>], mention: &dyn Fn(&str, &str) -> String) -> String {
    let width = rows.iter().map(Vec::len).chain([head.len()]).max().unwrap_or(0);
    let row = |cells: &[Vec<Inline>]| {
        let cell = |at: usize| {
            let text = cells.get(at).map(|cell| inline_text(cell, mention)).unwrap_or_default();
            one_line(&text).replace('|', "\\|")
        };
        format!("| {} |", (0..width).map(cell).collect::<Vec<_>>().join(" | "))
    };
    let line = format!("| {} |", vec!["---"; width].join(" | "));
    let rows = rows.iter().map(|cells| row(cells));
    std::iter::once(row(head)).chain([line]).chain(rows).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Formats a paragraph and escapes line starts that would begin another block.
fn paragraph(inlines: &[Inline], mention: &dyn Fn(&str, &str) -> String) -> String {
    let text = inline_text(inlines, mention);
    let safe = |line: &str| {
        let line = line.trim();
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let numbered = (1..10).contains(&digits) && line[digits..].starts_with(['.', ')']);
        if numbered {
            format!("{}\\{}", &line[..digits], &line[digits..])
        } else if ["#", ">", "|", "~~~", "- ", "+ ", "---", "==="].iter().any(|sign| line.starts_with(sign)) {
            format!("\\{line}")
        } else {
            line.to_owned()
        }
    };
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

fn inline_text(inlines: &[Inline], mention: &dyn Fn(&str, &str) -> String) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) => out.push_str(&escape(text)),
            Inline::Strong(inner) => out.push_str(&format!("**{}**", inline_text(inner, mention))),
            Inline::Emphasis(inner) => out.push_str(&format!("*{}*", inline_text(inner, mention))),
            Inline::Strike(inner) => out.push_str(&format!("~~{}~~", inline_text(inner, mention))),
            Inline::Code(code) => out.push_str(&code_span(code)),
            Inline::Link { text, url } if plain(text) == *url => out.push_str(url),
            Inline::Link { text, url } => {
                let url = url.replace('(', "%28").replace(')', "%29");
                out.push_str(&format!("[{}]({url})", inline_text(text, mention)));
            }
            Inline::Mention { id, name } => out.push_str(&mention(id, name)),
            Inline::Break => out.push('\n'),
        }
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn code_span(code: &str) -> String {
    let code = one_line(code);
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{code}{pad}{ticks}")
}
