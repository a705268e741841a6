//! The Atlassian Document Format (REST API 3): a tree of nodes with marks.

use serde_json::{Map, Value, json};

use super::{Block, Inline, MAX_DEPTH, is_safe, plain, push_text};

/// The largest number of nodes that are read of one document. Further nodes are left out.
const MAX_NODES: usize = 20_000;

/// Converts blocks into a document.
pub fn to_adf(blocks: &[Block]) -> Value {
    let content = contents(blocks);
    // Jira refuses a document without a block.
    let content = if content.is_empty() { vec![json!({"type": "paragraph", "content": []})] } else { content };
    json!({"type": "doc", "version": 1, "content": content})
}

fn contents(blocks: &[Block]) -> Vec<Value> {
    blocks.iter().map(block_node).collect()
}

fn block_node(block: &Block) -> Value {
    match block {
        Block::Heading(level, inlines) => {
            json!({"type": "heading", "attrs": {"level": level}, "content": inline_nodes(inlines)})
        }
        Block::Paragraph(inlines) => json!({"type": "paragraph", "content": inline_nodes(inlines)}),
        Block::Code { language, text } => {
            let content = if text.is_empty() { json!([]) } else { json!([{"type": "text", "text": text}]) };
            if language.is_empty() {
                json!({"type": "codeBlock", "content": content})
            } else {
                json!({"type": "codeBlock", "attrs": {"language": language}, "content": content})
            }
        }
        Block::Quote(blocks) => json!({"type": "blockquote", "content": contents(blocks)}),
        Block::List { ordered, items } => {
            let item = |blocks: &Vec<Block>| json!({"type": "listItem", "content": contents(blocks)});
            let kind = if *ordered { "orderedList" } else { "bulletList" };
            json!({"type": kind, "content": items.iter().map(item).collect::<Vec<_>>()})
        }
        Block::Table { head, rows } => {
            let row = |kind: &str, cells: &[Vec<Inline>]| {
                let cell = |inlines: &Vec<Inline>| json!({"type": kind, "content": [{"type": "paragraph", "content": inline_nodes(inlines)}]});
                json!({"type": "tableRow", "content": cells.iter().map(cell).collect::<Vec<_>>()})
            };
            let rows = rows.iter().map(|cells| row("tableCell", cells));
            let content: Vec<Value> = std::iter::once(row("tableHeader", head)).chain(rows).collect();
            json!({"type": "table", "content": content})
        }
        Block::Rule => json!({"type": "rule"}),
        Block::Details { summary, blocks } => {
            json!({"type": "expand", "attrs": {"title": summary}, "content": contents(blocks)})
        }
    }
}

fn inline_nodes(inlines: &[Inline]) -> Vec<Value> {
    let mut out = Vec::new();
    for inline in inlines {
        push_inline(inline, &[], &mut out);
    }
    out
}

fn push_inline(inline: &Inline, marks: &[Value], out: &mut Vec<Value>) {
    let mut text = |text: &str, more: Option<Value>| {
        // Jira refuses an empty text node.
        if text.is_empty() {
            return;
        }
        let marks: Vec<Value> = marks.iter().cloned().chain(more).collect();
        let mut node = json!({"type": "text", "text": text});
        if !marks.is_empty() {
            node["marks"] = Value::Array(marks);
        }
        out.push(node);
    };
    let nested = |inner: &[Inline], mark: Value, out: &mut Vec<Value>| {
        let marks: Vec<Value> = marks.iter().cloned().chain([mark]).collect();
        for inline in inner {
            push_inline(inline, &marks, out);
        }
    };
    match inline {
        Inline::Text(content) => text(content, None),
        // The mark `code` may be combined with links only.
        Inline::Code(code) => {
            let link = marks.iter().find(|mark| mark["type"] == "link").cloned();
            let marks: Vec<Value> = link.into_iter().chain([json!({"type": "code"})]).collect();
            if !code.is_empty() {
                out.push(json!({"type": "text", "text": code, "marks": marks}));
            }
        }
        Inline::Strong(inner) => nested(inner, json!({"type": "strong"}), out),
        Inline::Emphasis(inner) => nested(inner, json!({"type": "em"}), out),
        Inline::Strike(inner) => nested(inner, json!({"type": "strike"}), out),
        Inline::Link { text, url } => nested(text, json!({"type": "link", "attrs": {"href": url}}), out),
        Inline::Mention { id, name } => {
            out.push(json!({"type": "mention", "attrs": {"id": id, "text": format!("@{name}")}}));
        }
        Inline::Break => out.push(json!({"type": "hardBreak"})),
    }
}

/// Converts a document into blocks. Unknown nodes are replaced by their content. Beyond 20,000 nodes, and below 24 levels,
/// nodes are left out.
pub fn from_adf(document: &Value) -> Vec<Block> {
    let mut reader = Reader { remaining_nodes: MAX_NODES };
    reader.blocks(document, 0)
}

struct Reader {
    remaining_nodes: usize,
}

fn children(node: &Value) -> &[Value] {
    node["content"].as_array().map_or(&[], Vec::as_slice)
}

impl Reader {
    /// Counts a node. Returns whether it is within the limits.
    const fn admit(&mut self, depth: usize) -> bool {
        if self.remaining_nodes == 0 || depth > MAX_DEPTH {
            return false;
        }
        self.remaining_nodes -= 1;
        true
    }

    fn blocks(&mut self, parent: &Value, depth: usize) -> Vec<Block> {
        let mut out = Vec::new();
        let mut inlines = Vec::new();
        for node in children(parent) {
            if !self.admit(depth) {
                break;
            }
            if is_inline(node) {
                self.inline(node, &mut inlines, depth + 1);
                continue;
            }
            flush(&mut inlines, &mut out);
            self.block(node, depth + 1, &mut out);
        }
        flush(&mut inlines, &mut out);
        out
    }

    fn block(&mut self, node: &Value, depth: usize, out: &mut Vec<Block>) {
        match node["type"].as_str().unwrap_or_default() {
            "paragraph" => {
                let mut inlines = self.inlines(node, depth);
                flush(&mut inlines, out);
            }
            "heading" => {
                let level = node["attrs"]["level"].as_u64().and_then(|level| u8::try_from(level).ok());
                out.push(Block::Heading(level.unwrap_or(1).clamp(1, 6), self.inlines(node, depth)));
            }
            "codeBlock" => {
                let language = node["attrs"]["language"].as_str().unwrap_or_default().to_owned();
                out.push(Block::Code { language, text: plain(&self.inlines(node, depth)) });
            }
            "blockquote" => out.push(Block::Quote(self.blocks(node, depth))),
            kind @ ("bulletList" | "orderedList") => {
                let items = children(node).iter().map(|item| self.blocks(item, depth)).collect();
                out.push(Block::List { ordered: kind == "orderedList", items });
            }
            "table" => self.table(node, depth, out),
            "rule" => out.push(Block::Rule),
            "expand" | "nestedExpand" => {
                let summary = node["attrs"]["title"].as_str().unwrap_or_default().to_owned();
                out.push(Block::Details { summary, blocks: self.blocks(node, depth) });
            }
            // Panels, layouts, task lists and future kinds.
            _ => out.extend(self.blocks(node, depth)),
        }
    }

    fn table(&mut self, node: &Value, depth: usize, out: &mut Vec<Block>) {
        let mut rows: Vec<Vec<Vec<Inline>>> = Vec::new();
        let mut has_head = false;
        for (at, row) in children(node).iter().enumerate() {
            if !self.admit(depth) {
                break;
            }
            has_head |= at == 0 && children(row).iter().any(|cell| cell["type"] == "tableHeader");
            let cell = |cell: &Value| {
                let blocks = self.blocks(cell, depth + 1);
                join_lines(&blocks)
            };
            rows.push(children(row).iter().map(cell).collect());
        }
        if rows.is_empty() {
            return;
        }
        let head = if has_head { rows.remove(0) } else { Vec::new() };
        out.push(Block::Table { head, rows });
    }

    fn inlines(&mut self, parent: &Value, depth: usize) -> Vec<Inline> {
        let mut out = Vec::new();
        for node in children(parent) {
            if !self.admit(depth) {
                break;
            }
            self.inline(node, &mut out, depth + 1);
        }
        out
    }

    fn inline(&mut self, node: &Value, out: &mut Vec<Inline>, depth: usize) {
        let attr = |name: &str| node["attrs"][name].as_str().unwrap_or_default();
        match node["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = node["text"].as_str().unwrap_or_default();
                let marks = node["marks"].as_array().map_or(&[][..], Vec::as_slice);
                push_marked(text, marks, out);
            }
            "hardBreak" => out.push(Inline::Break),
            "mention" => {
                let name = attr("text").trim_start_matches('@').to_owned();
                out.push(Inline::Mention { id: attr("id").to_owned(), name });
            }
            "emoji" => push_text(out, if attr("text").is_empty() { attr("shortName") } else { attr("text") }),
            "inlineCard" | "blockCard" | "embedCard" if is_safe(attr("url")) => {
                let url = attr("url").to_owned();
                out.push(Inline::Link { text: vec![Inline::Text(url.clone())], url });
            }
            "status" => push_text(out, attr("text")),
            "date" => push_text(out, attr("timestamp")),
            _ => out.extend(self.inlines(node, depth)),
        }
    }
}

fn is_inline(node: &Value) -> bool {
    let kind = node["type"].as_str().unwrap_or_default();
    ["text", "hardBreak", "mention", "emoji", "inlineCard", "status", "date"].contains(&kind)
}

fn flush(inlines: &mut Vec<Inline>, out: &mut Vec<Block>) {
    if !inlines.is_empty() {
        out.push(Block::Paragraph(std::mem::take(inlines)));
    }
}

/// Appends a text with its marks. Adjacent texts with the same mark are merged.
fn push_marked(text: &str, marks: &[Value], out: &mut Vec<Inline>) {
    let attrs = |mark: &Value| mark["attrs"].as_object().cloned().unwrap_or_else(Map::new);
    let Some((mark, inner)) = marks.split_first() else { return push_text(out, text) };
    let into = |inner_out: &mut Vec<Inline>| push_marked(text, inner, inner_out);
    let fresh = || {
        let mut content = Vec::new();
        push_marked(text, inner, &mut content);
        content
    };
    match (mark["type"].as_str().unwrap_or_default(), out.last_mut()) {
        ("code", _) => out.push(Inline::Code(text.to_owned())),
        ("strong", Some(Inline::Strong(last)))
        | ("em", Some(Inline::Emphasis(last)))
        | ("strike", Some(Inline::Strike(last))) => into(last),
        ("strong", _) => out.push(Inline::Strong(fresh())),
        ("em", _) => out.push(Inline::Emphasis(fresh())),
        ("strike", _) => out.push(Inline::Strike(fresh())),
        ("link", _) => {
            let url = attrs(mark).get("href").and_then(Value::as_str).unwrap_or_default().to_owned();
            match out.last_mut() {
                Some(Inline::Link { text, url: last }) if *last == url => into(text),
                _ if is_safe(&url) => out.push(Inline::Link { text: fresh(), url }),
                _ => push_marked(text, inner, out),
            }
        }
        _ => push_marked(text, inner, out),
    }
}

/// Flattens the blocks of a table cell into lines.
fn join_lines(blocks: &[Block]) -> Vec<Inline> {
    let mut out = Vec::new();
    for block in blocks {
        if !out.is_empty() {
            out.push(Inline::Break);
        }
        match block {
            Block::Paragraph(inlines) | Block::Heading(_, inlines) => out.extend(inlines.iter().cloned()),
            Block::Code { text, .. } => out.push(Inline::Code(text.clone())),
            Block::Quote(blocks) | Block::Details { blocks, .. } => out.extend(join_lines(blocks)),
            Block::List { items, .. } => items.iter().for_each(|item| {
                push_text(&mut out, "- ");
                out.extend(join_lines(item));
                out.push(Inline::Break);
            }),
            Block::Table { .. } | Block::Rule => {}
        }
    }
    while matches!(out.last(), Some(Inline::Break)) {
        out.pop();
    }
    out
}
