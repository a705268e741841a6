//! Which nodes of a grammar are definitions.

use tree_sitter::Language as Grammar;

use crate::outline::SymbolKind::{self, Class, Constant, Function, Method, Module};

/// A grammar with its kinds of definitions.
pub(crate) struct Definitions {
    pub(crate) grammar: Grammar,
    /// Node kinds, with what they define.
    pub(crate) kinds: &'static [(&'static str, SymbolKind)],
}

const PYTHON: &[(&str, SymbolKind)] =
    &[("class_definition", Class), ("function_definition", Function), ("assignment", Constant)];
const RUST: &[(&str, SymbolKind)] = &[
    ("mod_item", Module),
    ("struct_item", Class),
    ("enum_item", Class),
    ("union_item", Class),
    ("trait_item", Class),
    ("impl_item", Class),
    ("type_item", Class),
    ("function_item", Function),
    ("function_signature_item", Function),
    ("macro_definition", Function),
    ("const_item", Constant),
    ("static_item", Constant),
];
const GO: &[(&str, SymbolKind)] = &[
    ("function_declaration", Function),
    ("method_declaration", Method),
    ("type_spec", Class),
    ("type_alias", Class),
    ("const_spec", Constant),
    ("var_spec", Constant),
];
const SCRIPT: &[(&str, SymbolKind)] = &[
    ("class_declaration", Class),
    ("abstract_class_declaration", Class),
    ("interface_declaration", Class),
    ("type_alias_declaration", Class),
    ("enum_declaration", Class),
    ("internal_module", Module),
    ("module", Module),
    ("function_declaration", Function),
    ("generator_function_declaration", Function),
    ("function_signature", Function),
    ("method_definition", Method),
    ("abstract_method_signature", Method),
    ("variable_declarator", Constant),
];
const JAVA: &[(&str, SymbolKind)] = &[
    ("class_declaration", Class),
    ("interface_declaration", Class),
    ("enum_declaration", Class),
    ("record_declaration", Class),
    ("annotation_type_declaration", Class),
    ("method_declaration", Method),
    ("constructor_declaration", Method),
    ("field_declaration", Constant),
];
const C: &[(&str, SymbolKind)] = &[
    ("namespace_definition", Module),
    ("class_specifier", Class),
    ("struct_specifier", Class),
    ("union_specifier", Class),
    ("enum_specifier", Class),
    ("type_definition", Class),
    ("alias_declaration", Class),
    ("function_definition", Function),
    ("preproc_function_def", Function),
    ("preproc_def", Constant),
];
const C_SHARP: &[(&str, SymbolKind)] = &[
    ("namespace_declaration", Module),
    ("class_declaration", Class),
    ("struct_declaration", Class),
    ("interface_declaration", Class),
    ("record_declaration", Class),
    ("enum_declaration", Class),
    ("delegate_declaration", Class),
    ("method_declaration", Method),
    ("constructor_declaration", Method),
    ("property_declaration", Method),
];
const RUBY: &[(&str, SymbolKind)] =
    &[("module", Module), ("class", Class), ("method", Method), ("singleton_method", Method), ("assignment", Constant)];
const PHP: &[(&str, SymbolKind)] = &[
    ("class_declaration", Class),
    ("interface_declaration", Class),
    ("trait_declaration", Class),
    ("enum_declaration", Class),
    ("function_definition", Function),
    ("method_declaration", Method),
    ("const_element", Constant),
];

impl Definitions {
    /// The grammar of a file, by the ending of its name; `None` for other languages.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
        let (grammar, kinds): (Grammar, _) = match ending.to_ascii_lowercase().as_str() {
            "py" | "pyi" => (tree_sitter_python::LANGUAGE.into(), PYTHON),
            "rs" => (tree_sitter_rust::LANGUAGE.into(), RUST),
            "go" => (tree_sitter_go::LANGUAGE.into(), GO),
            "js" | "jsx" | "mjs" | "cjs" => (tree_sitter_javascript::LANGUAGE.into(), SCRIPT),
            "ts" => (tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), SCRIPT),
            "tsx" => (tree_sitter_typescript::LANGUAGE_TSX.into(), SCRIPT),
            "java" => (tree_sitter_java::LANGUAGE.into(), JAVA),
            "c" => (tree_sitter_c::LANGUAGE.into(), C),
            // A header may be either; what is C reads as C++ too.
            "h" | "cc" | "cpp" | "hpp" | "cxx" | "hh" | "cu" => (tree_sitter_cpp::LANGUAGE.into(), C),
            "cs" => (tree_sitter_c_sharp::LANGUAGE.into(), C_SHARP),
            "rb" => (tree_sitter_ruby::LANGUAGE.into(), RUBY),
            "php" => (tree_sitter_php::LANGUAGE_PHP.into(), PHP),
            _ => return None,
        };
        Some(Self { grammar, kinds })
    }

    /// What a node defines, if anything.
    pub(crate) fn kind(&self, node: &str) -> Option<SymbolKind> {
        self.kinds.iter().find(|(kind, _)| *kind == node).map(|(_, symbol)| *symbol)
    }
}
