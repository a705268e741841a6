//! The outline of a file: its definitions with lines, signatures and the first line of their documentation.

#[cfg(feature = "tree-sitter")]
mod parse;
#[cfg(feature = "tree-sitter")]
pub(crate) use parse::parse_definitions;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::corpus::MAX_FILE_BYTES;

/// The kind of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SymbolKind {
    /// A module or namespace within the file.
    Module,
    /// A class, struct, trait, interface, enum or type.
    Class,
    /// A function outside of a class.
    Function,
    /// A function of a class.
    Method,
    /// A constant, or a variable of the module.
    Constant,
}

impl SymbolKind {
    /// Returns whether it is a function or a method.
    pub(crate) const fn is_function(self) -> bool {
        matches!(self, Self::Function | Self::Method)
    }

    /// Returns the kind as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Class => "class",
            Self::Function => "function",
            Self::Method => "method",
            Self::Constant => "constant",
        }
    }
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// The qualified name: `Class.method`.
    pub name: String,
    /// The kind of definition.
    pub kind: SymbolKind,
    /// The first and last line, from 1, inclusive.
    pub lines: (u32, u32),
    /// The declaration on one line, without the body.
    pub signature: String,
    /// The first line of the docstring or of the comment above.
    pub doc: Option<String>,
    /// The range in the file, in bytes.
    pub(crate) bytes: Range<usize>,
    /// The range of the docstring in it, in bytes; empty without one.
    pub(crate) docstring: Range<usize>,
    /// The number of definitions around this one.
    pub(crate) depth: usize,
}

impl Symbol {
    /// Returns the unqualified name.
    pub(crate) fn own_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// Returns whether this build has the grammar of a file.
pub(crate) fn has_grammar(path: &str) -> bool {
    #[cfg(feature = "tree-sitter")]
    return crate::grammar::Definitions::for_path(path).is_some();
    #[cfg(not(feature = "tree-sitter"))]
    {
        let _ = path;
        false
    }
}

/// Returns the lines of a text with syntax errors, from 1. Returns none where [`outline`] returns none.
pub(crate) fn syntax_errors(path: &str, text: &str) -> Vec<usize> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Vec::new();
    }
    #[cfg(feature = "tree-sitter")]
    return parse::syntax_errors(path, text);
    #[cfg(not(feature = "tree-sitter"))]
    {
        let _ = path;
        Vec::new()
    }
}

/// Returns the definitions of a file in their order. Returns none for languages without a grammar, without the feature of the
/// grammar, and for files above 512 KiB.
pub fn outline(path: &str, text: &str) -> Vec<Symbol> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Vec::new();
    }
    #[cfg(feature = "tree-sitter")]
    return parse::definitions(path, text);
    #[cfg(not(feature = "tree-sitter"))]
    {
        let _ = path;
        Vec::new()
    }
}

/// Formats the definitions of a file without their bodies, one line each, in at most `max_chars` characters. If that is not
/// enough for all, the symbols at the positions `first` and the definitions around them are kept, then functions and classes,
/// then constants.
pub(crate) fn skeleton(symbols: &[Symbol], first: &[usize], max_chars: usize) -> String {
    let line = |symbol: &Symbol| {
        let doc = symbol.doc.as_ref().map_or_else(String::new, |doc| format!("  # {doc}"));
        format!("{}{}: {}{doc}\n", "  ".repeat(symbol.depth), symbol.lines.0, symbol.signature)
    };
    let around = |position: usize| {
        let inner = &symbols[position].bytes;
        (0..position)
            .filter(move |outer| symbols[*outer].bytes.start <= inner.start && symbols[*outer].bytes.end >= inner.end)
    };
    let preferred = first.iter().flat_map(|position| around(*position).chain([*position]));
    let is_constant = |position: &usize| symbols[*position].kind == SymbolKind::Constant;
    let rest =
        (0..symbols.len()).filter(|position| !is_constant(position)).chain((0..symbols.len()).filter(is_constant));
    let (mut kept, mut length) = (std::collections::BTreeSet::new(), 0);
    for position in preferred.chain(rest) {
        let own = line(&symbols[position]).chars().count();
        if length + own <= max_chars && kept.insert(position) {
            length += own;
        }
    }
    kept.into_iter().map(|position| line(&symbols[position])).collect()
}

#[cfg(all(test, feature = "python"))]
mod tests {
    use super::*;

    #[test]
    fn a_short_skeleton_keeps_the_preferred_definitions() {
        let text = "X = 1\nclass A:\n    def first(self): pass\n    def second(self): pass\n\ndef other(): pass\n";
        let symbols = outline("a.py", text);
        let complete = "1: X = 1\n2: class A\n  3: def first(self)\n  4: def second(self)\n6: def other()\n";
        assert_eq!(skeleton(&symbols, &[], 1_000), complete);
        assert_eq!(skeleton(&symbols, &[3], 33), "2: class A\n  4: def second(self)\n");
    }
}
