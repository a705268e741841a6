//! The grammars, one feature of this crate each, and their nodes that are definitions.

use tree_sitter::Language as Grammar;

use crate::outline::SymbolKind;

/// A grammar with its kinds of definitions.
pub(crate) struct Definitions {
    pub(crate) grammar: Grammar,
    /// The kinds of nodes that are definitions.
    kinds: &'static [(&'static str, SymbolKind)],
}

#[cfg(feature = "python")]
const PYTHON: &[(&str, SymbolKind)] = &[
    ("class_definition", SymbolKind::Class),
    ("function_definition", SymbolKind::Function),
    ("assignment", SymbolKind::Constant),
];
#[cfg(feature = "rust")]
const RUST: &[(&str, SymbolKind)] = &[
    ("mod_item", SymbolKind::Module),
    ("struct_item", SymbolKind::Class),
    ("enum_item", SymbolKind::Class),
    ("union_item", SymbolKind::Class),
    ("trait_item", SymbolKind::Class),
    ("impl_item", SymbolKind::Class),
    ("type_item", SymbolKind::Class),
    ("function_item", SymbolKind::Function),
    ("function_signature_item", SymbolKind::Function),
    ("macro_definition", SymbolKind::Function),
    ("const_item", SymbolKind::Constant),
    ("static_item", SymbolKind::Constant),
];
#[cfg(feature = "go")]
const GO: &[(&str, SymbolKind)] = &[
    ("function_declaration", SymbolKind::Function),
    ("method_declaration", SymbolKind::Method),
    ("type_spec", SymbolKind::Class),
    ("type_alias", SymbolKind::Class),
    ("const_spec", SymbolKind::Constant),
    ("var_spec", SymbolKind::Constant),
];
#[cfg(any(feature = "javascript", feature = "typescript"))]
const SCRIPT: &[(&str, SymbolKind)] = &[
    ("class_declaration", SymbolKind::Class),
    ("abstract_class_declaration", SymbolKind::Class),
    ("interface_declaration", SymbolKind::Class),
    ("type_alias_declaration", SymbolKind::Class),
    ("enum_declaration", SymbolKind::Class),
    ("internal_module", SymbolKind::Module),
    ("module", SymbolKind::Module),
    ("function_declaration", SymbolKind::Function),
    ("generator_function_declaration", SymbolKind::Function),
    ("function_signature", SymbolKind::Function),
    ("method_definition", SymbolKind::Method),
    ("abstract_method_signature", SymbolKind::Method),
    ("variable_declarator", SymbolKind::Constant),
    ("assignment_expression", SymbolKind::Constant),
];
#[cfg(feature = "java")]
const JAVA: &[(&str, SymbolKind)] = &[
    ("class_declaration", SymbolKind::Class),
    ("interface_declaration", SymbolKind::Class),
    ("enum_declaration", SymbolKind::Class),
    ("record_declaration", SymbolKind::Class),
    ("annotation_type_declaration", SymbolKind::Class),
    ("method_declaration", SymbolKind::Method),
    ("constructor_declaration", SymbolKind::Method),
    ("field_declaration", SymbolKind::Constant),
];
#[cfg(any(feature = "c", feature = "cpp"))]
const C: &[(&str, SymbolKind)] = &[
    ("namespace_definition", SymbolKind::Module),
    ("class_specifier", SymbolKind::Class),
    ("struct_specifier", SymbolKind::Class),
    ("union_specifier", SymbolKind::Class),
    ("enum_specifier", SymbolKind::Class),
    ("type_definition", SymbolKind::Class),
    ("alias_declaration", SymbolKind::Class),
    ("function_definition", SymbolKind::Function),
    ("preproc_function_def", SymbolKind::Function),
    ("preproc_def", SymbolKind::Constant),
];
#[cfg(feature = "c-sharp")]
const C_SHARP: &[(&str, SymbolKind)] = &[
    ("namespace_declaration", SymbolKind::Module),
    ("class_declaration", SymbolKind::Class),
    ("struct_declaration", SymbolKind::Class),
    ("interface_declaration", SymbolKind::Class),
    ("record_declaration", SymbolKind::Class),
    ("enum_declaration", SymbolKind::Class),
    ("delegate_declaration", SymbolKind::Class),
    ("method_declaration", SymbolKind::Method),
    ("constructor_declaration", SymbolKind::Method),
    ("property_declaration", SymbolKind::Method),
];
#[cfg(feature = "ruby")]
const RUBY: &[(&str, SymbolKind)] = &[
    ("module", SymbolKind::Module),
    ("class", SymbolKind::Class),
    ("method", SymbolKind::Method),
    ("singleton_method", SymbolKind::Method),
    ("assignment", SymbolKind::Constant),
];
#[cfg(feature = "php")]
const PHP: &[(&str, SymbolKind)] = &[
    ("class_declaration", SymbolKind::Class),
    ("interface_declaration", SymbolKind::Class),
    ("trait_declaration", SymbolKind::Class),
    ("enum_declaration", SymbolKind::Class),
    ("function_definition", SymbolKind::Function),
    ("method_declaration", SymbolKind::Method),
    ("const_element", SymbolKind::Constant),
];

impl Definitions {
    /// Returns the grammar for a file by its extension; `None` for other languages and without the grammar's feature.
    pub(crate) fn for_path(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
        let (grammar, kinds): (Grammar, _) = match extension.to_ascii_lowercase().as_str() {
            #[cfg(feature = "python")]
            "py" | "pyi" => (tree_sitter_python::LANGUAGE.into(), PYTHON),
            #[cfg(feature = "rust")]
            "rs" => (tree_sitter_rust::LANGUAGE.into(), RUST),
            #[cfg(feature = "go")]
            "go" => (tree_sitter_go::LANGUAGE.into(), GO),
            #[cfg(feature = "javascript")]
            "js" | "jsx" | "mjs" | "cjs" => (tree_sitter_javascript::LANGUAGE.into(), SCRIPT),
            #[cfg(feature = "typescript")]
            "ts" => (tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), SCRIPT),
            #[cfg(feature = "typescript")]
            "tsx" => (tree_sitter_typescript::LANGUAGE_TSX.into(), SCRIPT),
            #[cfg(feature = "java")]
            "java" => (tree_sitter_java::LANGUAGE.into(), JAVA),
            #[cfg(feature = "c")]
            "c" => (tree_sitter_c::LANGUAGE.into(), C),
            // A header may be of either language; the grammar of C++ accepts most C.
            #[cfg(feature = "cpp")]
            "h" | "cc" | "cpp" | "hpp" | "cxx" | "hh" | "cu" => (tree_sitter_cpp::LANGUAGE.into(), C),
            #[cfg(feature = "c-sharp")]
            "cs" => (tree_sitter_c_sharp::LANGUAGE.into(), C_SHARP),
            #[cfg(feature = "ruby")]
            "rb" => (tree_sitter_ruby::LANGUAGE.into(), RUBY),
            #[cfg(feature = "php")]
            "php" => (tree_sitter_php::LANGUAGE_PHP.into(), PHP),
            _ => return None,
        };
        Some(Self { grammar, kinds })
    }

    /// Returns what a node of this kind defines, if it is a definition.
    pub(crate) fn kind(&self, node: &str) -> Option<SymbolKind> {
        self.kinds.iter().find(|(kind, _)| *kind == node).map(|(_, symbol)| *symbol)
    }
}
