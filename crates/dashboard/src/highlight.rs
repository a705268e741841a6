//! Syntax highlighting: each line as pieces with the name of their color.

use std::sync::LazyLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

/// Longer lines are not highlighted: they are minified, and highlighting them is slow.
const MAX_LINE: usize = 1_000;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The name of its color; empty for none.
    pub class: &'static str,
    /// Its text.
    pub text: String,
}

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(SyntaxSet::load_defaults_newlines);

/// The colors by scope; the first match counts.
static COLOURS: LazyLock<Vec<(Scope, &'static str)>> = LazyLock::new(|| {
    let colours = [
        ("comment", "c"),
        ("string", "s"),
        ("constant", "n"),
        ("entity.name.function", "f"),
        ("support.function", "f"),
        ("variable.function", "f"),
        ("entity.name", "t"),
        ("support.type", "t"),
        ("support.class", "t"),
        ("keyword.operator", ""),
        ("keyword", "k"),
        ("storage", "k"),
        ("variable.language", "k"),
    ];
    colours.map(|(name, class)| (Scope::new(name).expect("the names are few and short"), class)).into()
});

/// Extensions of unsupported languages that are highlighted like a similar one.
const ALIKE: &[(&str, &str)] =
    &[("ts", "js"), ("tsx", "js"), ("jsx", "js"), ("mjs", "js"), ("cjs", "js"), ("kt", "java"), ("pyi", "py")];

fn syntax_of(path: &str) -> Option<&'static SyntaxReference> {
    let extension = path.rsplit_once('.')?.1.to_ascii_lowercase();
    let known = ALIKE.iter().find(|(own, _)| *own == extension).map_or(extension.as_str(), |(_, other)| other);
    SYNTAXES.find_syntax_by_extension(known)
}

/// Highlights a file's lines in their order: the meaning of a line may depend on those before it.
pub struct Painter {
    state: Option<(ParseState, ScopeStack)>,
}

impl std::fmt::Debug for Painter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Painter").field("knows_language", &self.state.is_some()).finish()
    }
}

impl Painter {
    /// Creates a highlighter for the extension of a file; plain text if it is unknown.
    pub fn for_path(path: &str) -> Self {
        Self { state: syntax_of(path).map(|syntax| (ParseState::new(syntax), ScopeStack::new())) }
    }

    /// Returns the pieces of the next line.
    pub fn paint(&mut self, line: &str) -> Vec<Span> {
        let plain = || vec![Span { class: "", text: line.to_owned() }];
        let Some((state, stack)) = self.state.as_mut().filter(|_| line.len() <= MAX_LINE) else { return plain() };
        let Ok(changes) = state.parse_line(&format!("{line}\n"), &SYNTAXES) else { return plain() };
        let mut spans: Vec<Span> = Vec::new();
        let mut from = 0;
        for (at, change) in changes {
            push(&mut spans, line, from, at, stack);
            from = at;
            if stack.apply(&change).is_err() {
                return plain();
            }
        }
        push(&mut spans, line, from, line.len(), stack);
        spans
    }
}

fn push(spans: &mut Vec<Span>, line: &str, from: usize, to: usize, stack: &ScopeStack) {
    let Some(text) = line.get(from..to.min(line.len())).filter(|text| !text.is_empty()) else { return };
    let class = colour(stack);
    match spans.last_mut() {
        Some(last) if last.class == class => last.text.push_str(text),
        _ => spans.push(Span { class, text: text.to_owned() }),
    }
}

/// Comments and strings have one color as a whole; otherwise the innermost scope counts.
fn colour(stack: &ScopeStack) -> &'static str {
    let whole = |scope: &&Scope| COLOURS[..2].iter().any(|(prefix, _)| prefix.is_prefix_of(**scope));
    let scopes = stack.as_slice();
    let find = |scope: &Scope| COLOURS.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope)).map(|(_, class)| *class);
    scopes.iter().find(whole).and_then(find).or_else(|| scopes.iter().rev().find_map(find)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(path: &str, line: &str) -> Vec<(&'static str, String)> {
        Painter::for_path(path).paint(line).into_iter().map(|span| (span.class, span.text)).collect()
    }

    #[test]
    fn code_is_coloured_by_what_it_means() {
        let has = |path, line, class, text: &str| {
            let spans = classes(path, line);
            assert!(spans.iter().any(|(c, t)| *c == class && t.contains(text)), "{path}: {spans:?}");
            assert_eq!(spans.iter().map(|(_, text)| text.as_str()).collect::<String>(), line);
        };
        has("a.py", "def add(a, b):  # sum", "k", "def");
        has("a.py", "def add(a, b):  # sum", "f", "add");
        has("a.py", "def add(a, b):  # sum", "c", "# sum");
        has("a.rs", "let x = \"a\\n\";", "s", "a\\n");
        has("src/x.ts", "const x = 1;", "n", "1");
        has("A.java", "public class A {}", "t", "A");
        has("a.go", "func main() {}", "f", "main");
        assert_eq!(classes("LICENSE", "if x"), [("", "if x".to_owned())]);
        assert_eq!(classes("a.py", "").len(), 0);
    }

    #[test]
    fn what_spans_lines_keeps_its_colour() {
        let mut painter = Painter::for_path("a.py");
        painter.paint("x = \"\"\"one");
        assert_eq!(painter.paint("two").first().map(|span| span.class), Some("s"));
    }
}
