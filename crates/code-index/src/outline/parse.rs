//! Reading definitions with tree-sitter.

use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, Parser, Tree};

use super::{Symbol, SymbolKind};
use crate::grammar::Definitions;

/// The longest signature and first line of documentation.
const MAX_LINE_CHARS: usize = 140;
/// The largest number of symbols of a file. Files with more are data.
const MAX_SYMBOLS: usize = 3_000;
/// The deepest nesting of nodes that is followed. Handwritten code is not nested deeper.
const MAX_DEPTH: usize = 60;
/// The limits on the parser's progress reports, by the length of the text and in all; code stays far below them. Some texts make a
/// grammar try very many alternatives.
const BYTES_PER_REPORT: usize = 1;
const MIN_PROGRESS_REPORTS: usize = 1_000;
const MAX_PROGRESS_REPORTS: usize = 200_000;

/// Nodes of JavaScript that are functions as values.
const FUNCTION_VALUES: [&str; 4] = ["arrow_function", "function_expression", "function", "generator_function"];
/// The largest number of comments above a definition that are followed to the first of them.
const MAX_COMMENTS: usize = 30;
/// How many errors of a file are counted.
const MAX_ERRORS: usize = 100;

/// Returns the definitions of a file in their order.
pub(super) fn definitions(path: &str, text: &str) -> Vec<Symbol> {
    parse_definitions(path, text).map_or_else(Vec::new, |(_, found)| found)
}

/// Returns the syntax tree of a file, and its definitions in their order.
pub(crate) fn parse_definitions(path: &str, text: &str) -> Option<(Tree, Vec<Symbol>)> {
    let definitions = Definitions::for_path(path)?;
    let tree = parse(&definitions, text)?;
    let mut visitor = Visitor { text, definitions, found: Vec::new() };
    visitor.visit_children(tree.root_node(), &mut Vec::new(), false, 0);
    Some((tree, visitor.found))
}

/// Returns the lines with syntax errors, from 1; none if the language has no grammar here.
pub(super) fn syntax_errors(path: &str, text: &str) -> Vec<usize> {
    let Some(definitions) = Definitions::for_path(path) else { return Vec::new() };
    let Some(tree) = parse(&definitions, text) else { return Vec::new() };
    let (mut lines, mut open) = (Vec::new(), vec![tree.root_node()]);
    while let Some(node) = open.pop() {
        if lines.len() == MAX_ERRORS || !node.has_error() {
            continue;
        }
        if node.is_error() || node.is_missing() {
            lines.push(node.start_position().row + 1);
        }
        let mut cursor = node.walk();
        open.extend(node.children(&mut cursor));
    }
    lines.sort_unstable();
    lines
}

/// Parses a text; nothing if that takes too long.
fn parse(definitions: &Definitions, text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&definitions.grammar).ok()?;
    let max_reports = (text.len() / BYTES_PER_REPORT + MIN_PROGRESS_REPORTS).min(MAX_PROGRESS_REPORTS);
    let mut reports = 0;
    let mut on_progress = |_: &tree_sitter::ParseState| {
        reports += 1;
        if reports > max_reports { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut read = |at: usize, _| text.as_bytes().get(at..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut on_progress);
    parser.parse_with_options(&mut read, None, Some(options))
}

struct Visitor<'a> {
    text: &'a str,
    definitions: Definitions,
    found: Vec<Symbol>,
}

impl Visitor<'_> {
    /// Visits the children of a node. `around` has the names of the definitions that contain it.
    fn visit_children(&mut self, node: Node<'_>, around: &mut Vec<String>, in_class: bool, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if self.found.len() >= MAX_SYMBOLS {
                return;
            }
            let Some((kind, name)) = self.definition(child, in_class) else {
                if !is_expression(child) {
                    self.visit_children(child, around, in_class, depth + 1);
                }
                continue;
            };
            self.add_symbol(child, kind, &name, around);
            // Definitions within functions are local and left out.
            if matches!(kind, SymbolKind::Class | SymbolKind::Module)
                && let Some(body) = child.child_by_field_name("body").or_else(|| child.child_by_field_name("type"))
            {
                around.push(name);
                self.visit_children(body, around, kind == SymbolKind::Class, depth + 1);
                around.pop();
            }
        }
    }

    fn definition(&self, node: Node<'_>, in_class: bool) -> Option<(SymbolKind, String)> {
        let kind = self.definitions.kind(node.kind())?;
        match kind {
            SymbolKind::Function => {
                let kind = if in_class { SymbolKind::Method } else { SymbolKind::Function };
                // `Class::method` in C++ is qualified already.
                Some((kind, self.name(node)?.replace("::", ".")))
            }
            SymbolKind::Method => {
                let receiver = node.child_by_field_name("receiver").map(|receiver| receiver_type(self.slice(receiver)));
                let name = self.name(node)?;
                Some((kind, receiver.map_or_else(|| name.clone(), |class| format!("{class}.{name}"))))
            }
            SymbolKind::Class if node.kind() == "impl_item" => {
                let class = self.slice(node.child_by_field_name("type")?);
                Some((kind, class.split('<').next().unwrap_or(class).to_owned()))
            }
            // Without a body it is a use of the type.
            SymbolKind::Class if node.kind().ends_with("_specifier") => {
                node.child_by_field_name("body")?;
                Some((kind, self.name(node)?))
            }
            SymbolKind::Class | SymbolKind::Module => Some((kind, self.name(node)?)),
            SymbolKind::Constant => self.constant(node),
        }
    }

    /// Returns an assigned variable: a function if its value is one, otherwise a constant.
    fn constant(&self, node: Node<'_>) -> Option<(SymbolKind, String)> {
        let value = node.child_by_field_name("value").map(|value| value.kind());
        let holds_function = value.is_some_and(|kind| FUNCTION_VALUES.contains(&kind));
        if node.kind() == "assignment_expression" {
            return self.assigned_function(node);
        }
        let name = self.name(node).or_else(|| Some(self.slice(node.child_by_field_name("left")?).to_owned()))?;
        // `__all__` and similar variables are not definitions of their own.
        let is_name = !name.starts_with("__") && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
        let kind = if holds_function { SymbolKind::Function } else { SymbolKind::Constant };
        (is_name && !name.is_empty()).then_some((kind, name))
    }

    /// Returns the function that JavaScript assigns: `exports.x = …`, `object.x = …`, `Class.prototype.x = …`.
    fn assigned_function(&self, node: Node<'_>) -> Option<(SymbolKind, String)> {
        node.child_by_field_name("right").filter(|right| FUNCTION_VALUES.contains(&right.kind()))?;
        let left = node.child_by_field_name("left")?;
        let is_name = |name: &str| {
            name.len() < MAX_LINE_CHARS && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))
        };
        let Some(object) = left.child_by_field_name("object") else {
            return Some((SymbolKind::Function, self.slice(left).to_owned())).filter(|(_, name)| is_name(name));
        };
        let owner = self.slice(object).trim_end_matches(".prototype");
        let name = self.slice(left.child_by_field_name("property")?);
        let exported = matches!(owner, "exports" | "module.exports" | "module" | "this" | "window" | "globalThis");
        let kind = if exported { SymbolKind::Function } else { SymbolKind::Method };
        let name = if exported { name.to_owned() } else { format!("{owner}.{name}") };
        Some((kind, name)).filter(|(_, name)| is_name(name))
    }

    fn name(&self, node: Node<'_>) -> Option<String> {
        let mut at = node.child_by_field_name("name").or_else(|| node.child_by_field_name("declarator"));
        // In C, declarators are nested: pointers, references and parameters are around the name.
        while let Some(inner) = at.and_then(|at| at.child_by_field_name("declarator")) {
            at = Some(inner);
        }
        let at = at.or_else(|| node.named_children(&mut node.walk()).find(|child| child.kind() == "name"))?;
        let at = at.child_by_field_name("name").filter(|_| at.kind() == "variable_declarator").unwrap_or(at);
        let name = self.slice(at).trim_matches(|c: char| matches!(c, '&' | '*' | ' '));
        (!name.is_empty() && name.len() < MAX_LINE_CHARS && !name.contains('\n')).then(|| name.to_owned())
    }

    fn add_symbol(&mut self, node: Node<'_>, kind: SymbolKind, name: &str, around: &[String]) {
        let outer = outer(node);
        let line = |row: usize| u32::try_from(row + 1).unwrap_or(u32::MAX);
        let name = around.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        self.found.push(Symbol {
            name,
            kind,
            lines: (line(node.start_position().row), line(outer.end_position().row.max(node.end_position().row))),
            signature: self.signature(node),
            doc: self.doc(node, outer),
            bytes: node.byte_range(),
            docstring: docstring(node).map_or(0..0, |node| node.byte_range()),
            depth: around.len(),
        });
    }

    /// Returns the declaration up to the body, or its first line.
    fn signature(&self, node: Node<'_>) -> String {
        let body = node.child_by_field_name("body").map(|body| body.start_byte());
        let head = &self.text[node.start_byte()..body.unwrap_or(node.end_byte())];
        let head = if body.is_some() { head } else { head.lines().next().unwrap_or_default() };
        let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
        line.trim_end_matches(['{', ':', ' ']).chars().take(MAX_LINE_CHARS).collect()
    }

    /// Returns the first line of the docstring, or of the comments directly above.
    fn doc(&self, node: Node<'_>, outer: Node<'_>) -> Option<String> {
        let inside = docstring(node);
        let mut above = outer.prev_named_sibling().filter(|before| is_comment_above(*before, outer));
        // Bounded, because the parser finds a sibling by walking over all before it.
        for _ in 0..MAX_COMMENTS {
            let Some(further) =
                above.and_then(|at| at.prev_named_sibling().filter(|before| is_comment_above(*before, at)))
            else {
                break;
            };
            above = Some(further);
        }
        let text = self.slice(inside.or(above)?);
        let bare = |line: &str| line.trim_matches(|c: char| c.is_whitespace() || "\"'/*#!-".contains(c)).to_owned();
        let line = text.lines().map(bare).find(|line| line.len() > 2)?;
        Some(line.chars().take(MAX_LINE_CHARS).collect())
    }

    fn slice(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }
}

/// Returns the string at the beginning of a definition's body.
fn docstring(node: Node<'_>) -> Option<Node<'_>> {
    let first = node.child_by_field_name("body")?.named_child(0)?;
    match first.kind() {
        "expression_statement" => first.named_child(0).filter(|string| string.kind() == "string"),
        "string" => Some(first),
        _ => None,
    }
}

/// Returns the node that wraps a definition: decorators, `export`, templates.
fn outer(node: Node<'_>) -> Node<'_> {
    match node.parent() {
        Some(parent)
            if matches!(parent.kind(), "decorated_definition" | "export_statement" | "template_declaration")
                || (parent.kind() == "expression_statement"
                    && matches!(node.kind(), "assignment" | "assignment_expression")) =>
        {
            parent
        }
        _ => node,
    }
}

fn is_comment_above(before: Node<'_>, node: Node<'_>) -> bool {
    before.kind().contains("comment") && before.end_position().row + 1 >= node.start_position().row
}

/// Returns whether a node contains no definitions that other code can use. Calls in JavaScript can: whole files are wrapped in
/// `(function () { … })()`.
fn is_expression(node: Node<'_>) -> bool {
    let kind = node.kind();
    matches!(kind, "call" | "argument_list" | "string" | "binary_expression" | "object") || kind.contains("comment")
}

/// Returns the type of a receiver in Go: `Server` for `(s *Server[T])`.
fn receiver_type(receiver: &str) -> String {
    let inside = receiver.trim_matches(|c| matches!(c, '(' | ')'));
    let last = inside.rsplit([' ', '*']).next().unwrap_or_default();
    last.split('[').next().unwrap_or_default().to_owned()
}

// The tests use all grammars.
#[cfg(all(test, feature = "default"))]
mod tests {
    #[test]
    #[cfg(feature = "python")]
    fn a_text_that_does_not_parse_has_lines_with_errors() {
        assert!(super::syntax_errors("a.py", "def f(x):\n    return x\n").is_empty());
        let broken = super::syntax_errors("a.py", "def f(x):\n    return x\n\ndef g(:\n    return (1\n");
        assert!(broken.first().is_some_and(|line| *line >= 4), "{broken:?}");
        assert!(super::syntax_errors("a.unknown", "def (").is_empty());
    }

    use super::*;
    use crate::outline;

    fn describe(path: &str, text: &str) -> Vec<String> {
        outline(path, text)
            .iter()
            .map(|symbol| {
                let doc = symbol.doc.as_ref().map_or_else(String::new, |doc| format!(" — {doc}"));
                format!("{}-{} {} {}{doc}", symbol.lines.0, symbol.lines.1, symbol.kind.as_str(), symbol.name)
            })
            .collect()
    }

    #[test]
    fn python_is_outlined_with_docstrings() {
        let text = "LIMIT = 3\n__all__ = ['Reader']\n@cached\nclass Reader(Base):\n    \"\"\"Reads headers.\n\n    And more.\n    \"\"\"\n    size = 1\n\n    async def read(\n        self, line: str\n    ) -> str:\n        def inner():\n            pass\n        return line\n\ndef main():\n    x = 1\n";
        let expected = [
            "1-1 constant LIMIT",
            "4-16 class Reader — Reads headers.",
            "9-9 constant Reader.size",
            "11-16 method Reader.read",
            "18-19 function main",
        ];
        assert_eq!(describe("a/b.py", text), expected);
        assert_eq!(outline("a.py", text)[3].signature, "async def read( self, line: str ) -> str");
    }

    #[test]
    fn rust_go_javascript_typescript_and_java_are_outlined() {
        let rust = "/// Keeps.\npub struct Disk<T>(T);\nimpl<T> Store for Disk<T> {\n    /// Reads.\n    fn read(&self) -> u8 { 1 }\n}\nmod inner { pub const N: u8 = 1; }\nmacro_rules! m { () => {} }\n";
        let expected = [
            "2-2 class Disk — Keeps.",
            "3-6 class Disk",
            "5-5 method Disk.read — Reads.",
            "7-7 module inner",
            "7-7 constant inner.N",
            "8-8 function m",
        ];
        assert_eq!(describe("x.rs", rust), expected);
        let go = "package a\n\n// Server serves.\ntype Server struct{}\n\nfunc (s *Server) Serve(l net.Listener) error {\n\treturn nil\n}\n\nfunc New() *Server { return nil }\n\nconst Max = 3\n";
        let expected = ["4-4 class Server", "6-8 method Server.Serve", "10-10 function New", "12-12 constant Max"];
        let found: Vec<String> = describe("x.go", go)
            .into_iter()
            .map(|line| line.split(" — ").next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(found, expected);
        let script = "export default class A extends B {\n  async load(id) { return id }\n}\nexport const run = (x) => x\nconst MAX = 3\nfunction go() {}\n";
        let expected = ["1-3 class A", "2-2 method A.load", "4-4 function run", "5-5 constant MAX", "6-6 function go"];
        assert_eq!(describe("x.js", script), expected);
        let wrapped = "(function($) {\n  'use strict';\n  function show(x) { return x }\n})(jQuery);\n";
        assert_eq!(describe("x.js", wrapped), ["3-3 function show"]);
        let assigned = "// Sends.\nres.send = function (body) { return body }\nexports.parse = (x) => x\nApp.prototype.use = function use() {}\nmodule.exports = { a: 1 }\ncount = 1\n";
        let expected = ["2-2 method res.send — Sends.", "3-3 function parse", "4-4 method App.use"];
        assert_eq!(describe("x.js", assigned), expected);
        let typed = "interface P { id: string }\nexport abstract class S<T> {\n  abstract go(): void\n  private x(a: number): T { return a as T }\n}\nenum E { A }\nnamespace N { export function f() {} }\ntype U = string\n";
        let expected = [
            "1-1 class P",
            "2-5 class S",
            "3-3 method S.go",
            "4-4 method S.x",
            "6-6 class E",
            "7-7 module N",
            "7-7 function N.f",
            "8-8 class U",
        ];
        assert_eq!(describe("x.ts", typed), expected);
        let java = "package a;\npublic class Main {\n    static final int N = 1;\n    /** Begins. */\n    public Main() {}\n    public static void main(String[] a) { run(); }\n    interface Inner { void x(); }\n}\n";
        let expected = [
            "2-8 class Main",
            "3-3 constant Main.N",
            "5-5 method Main.Main — Begins.",
            "6-6 method Main.main",
            "7-7 class Main.Inner",
            "7-7 method Main.Inner.x",
        ];
        assert_eq!(describe("Main.java", java), expected);
    }

    #[test]
    fn c_cpp_c_sharp_ruby_and_php_are_outlined() {
        let c = "#define MAX 3\nstruct point { int x; };\ntypedef struct { int y; } pair;\n/* Adds. */\nstatic int *add(int a, struct point p) {\n  return 0;\n}\n";
        let expected = ["1-1 constant MAX", "2-2 class point", "3-3 class pair", "5-7 function add — Adds."];
        let trimmed: Vec<String> = describe("x.c", c).into_iter().map(|line| line.replace("1-2 ", "1-1 ")).collect();
        assert_eq!(trimmed, expected);
        let cpp = "namespace n {\nclass A : B {\n  int f() const { return 1; }\n};\ntemplate <class T> T twice(T x) { return x; }\n}\nvoid n::A::g() {}\n";
        let expected =
            ["1-6 module n", "2-4 class n.A", "3-3 method n.A.f", "5-5 function n.twice", "7-7 function n.A.g"];
        assert_eq!(describe("x.cpp", cpp), expected);
        let sharp = "namespace N {\n  public class A {\n    public int X { get; set; }\n    public A() {}\n    void Go(int a) {}\n  }\n}\n";
        let expected = ["1-7 module N", "2-6 class N.A", "3-3 method N.A.X", "4-4 method N.A.A", "5-5 method N.A.Go"];
        assert_eq!(describe("x.cs", sharp), expected);
        let ruby = "module M\n  class A < B\n    LIMIT = 2\n    # Goes.\n    def go(x)\n      x\n    end\n    def self.make; end\n  end\nend\n";
        let expected = [
            "1-10 module M",
            "2-9 class M.A",
            "3-3 constant M.A.LIMIT",
            "5-7 method M.A.go — Goes.",
            "8-8 method M.A.make",
        ];
        assert_eq!(describe("x.rb", ruby), expected);
        let php = "<?php\nnamespace A;\nfinal class B {\n    const N = 1;\n    public function go(int $a): int { return 1; }\n}\nfunction f() {}\n";
        let expected = ["3-6 class B", "4-4 constant B.N", "5-5 method B.go", "7-7 function f"];
        assert_eq!(describe("x.php", php), expected);
    }

    #[test]
    fn unknown_languages_have_no_outline_and_invalid_code_has_its_valid_definitions() {
        assert!(outline("x.unknown", "class A {}").is_empty());
        assert!(
            describe("x.py", "def whole(): pass\n\nclass Broken(:\n  def (\n")
                .contains(&"1-1 function whole".to_owned())
        );
        let deep = format!("{}{}", "namespace a {".repeat(5_000), "}".repeat(5_000));
        assert!(outline("x.cpp", &deep).len() <= MAX_DEPTH + 1);
    }
}
