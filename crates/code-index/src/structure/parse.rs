//! Reading the references of definitions with tree-sitter.

use tree_sitter::{Node, TreeCursor};

use super::{Definition, Reference, Role, Structure};
use crate::outline::{Symbol, SymbolKind, parse_definitions};
use crate::words::hash_name;

/// Nodes that call something, in any language.
const CALLS: &[&str] = &[
    "call",
    "call_expression",
    "new_expression",
    "macro_invocation",
    "method_invocation",
    "object_creation_expression",
    "invocation_expression",
    "function_call_expression",
    "member_call_expression",
    "nullsafe_member_call_expression",
    "scoped_call_expression",
];
/// The fields of such nodes with the name of what is called.
const CALLEE_FIELDS: &[&str] = &["function", "name", "method", "constructor", "macro", "type"];
/// Nodes whose last part is a member of the part before.
const ACCESSES: &[&str] = &[
    "attribute",
    "member_expression",
    "field_expression",
    "selector_expression",
    "scoped_identifier",
    "scoped_type_identifier",
    "qualified_identifier",
    "member_access_expression",
    "field_access",
    "qualified_type",
    "class_constant_access_expression",
    "scoped_property_access_expression",
];
/// Nodes with the bases of a class.
const BASES: &[&str] = &[
    "superclass",
    "class_heritage",
    "base_list",
    "super_interfaces",
    "base_class_clause",
    "base_clause",
    "class_interface_clause",
    "extends_interfaces",
    "extends_type_clause",
];
/// Fields with the bases of a class, or with the trait of an implementation.
const BASE_FIELDS: &[&str] = &["superclasses", "superclass", "trait", "interfaces"];
/// Parts of bases without bases.
const NOT_BASES: &[&str] =
    &["keyword_argument", "type_arguments", "template_argument_list", "type_argument_list", "call"];
/// Leaves that are names.
const NAMES: &[&str] = &[
    "identifier",
    "property_identifier",
    "private_property_identifier",
    "field_identifier",
    "type_identifier",
    "shorthand_property_identifier",
    "namespace_identifier",
    "name",
    "constant",
];
/// What the object of a method is called in it.
const OWN: &[&str] = &["self", "this", "cls", "$this", "Self"];
/// The deepest nesting of nodes that is followed.
const MAX_DEPTH: usize = 300;

/// Returns the definitions of a file with what they refer to.
pub(super) fn structure(path: &str, text: &str) -> Structure {
    let Some((tree, symbols)) = parse_definitions(path, text) else { return Structure::default() };
    let definitions = symbols.iter().map(definition).collect();
    let mut walk = Walk { text, definitions, open: Vec::new(), next: 0 };
    walk.visit(&mut tree.walk(), Around::default());
    for definition in &mut walk.definitions {
        definition.references.sort_unstable();
        definition.references.dedup();
        definition.references.shrink_to_fit();
    }
    Structure { definitions: walk.definitions }
}

fn definition(symbol: &Symbol) -> Definition {
    Definition {
        name: symbol.name.clone(),
        kind: symbol.kind,
        start: offset(symbol.bytes.start),
        end: offset(symbol.bytes.end),
        references: Vec::new(),
    }
}

fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

/// What is around a node.
#[derive(Clone, Copy, Default)]
struct Around<'t> {
    parent: Option<Node<'t>>,
    grandparent: Option<Node<'t>>,
    in_bases: bool,
    depth: usize,
}

/// A walk over all nodes of a file in their order.
struct Walk<'a> {
    text: &'a str,
    definitions: Vec<Definition>,
    /// The definitions around the current node, outermost first.
    open: Vec<usize>,
    /// The first definition that has not begun yet.
    next: usize,
}

impl Walk<'_> {
    fn visit<'t>(&mut self, cursor: &mut TreeCursor<'t>, around: Around<'t>) {
        let node = cursor.node();
        if node.child_count() == 0 {
            if node.is_named() && NAMES.contains(&node.kind()) {
                self.add(node, around);
            }
            return;
        }
        if around.depth > MAX_DEPTH || !cursor.goto_first_child() {
            return;
        }
        loop {
            let field = cursor.field_name().unwrap_or_default();
            // The name of a keyword argument is no reference.
            if node.kind() != "keyword_argument" || field != "name" {
                let kind = cursor.node().kind();
                let is_base = BASES.contains(&kind) || BASE_FIELDS.contains(&field);
                let (parent, grandparent) = (Some(node), around.parent);
                // Arguments of a base are none: `Base[Model]`, `Base<Model>`, `metaclass=Meta`, `field(Model)`.
                let in_bases = (around.in_bases || is_base) && !NOT_BASES.contains(&kind) && field != "subscript";
                let depth = around.depth + 1;
                self.visit(cursor, Around { parent, grandparent, in_bases, depth });
            }
            if !cursor.goto_next_sibling() {
                break;
            }
        }
        cursor.goto_parent();
    }

    /// Adds a name to the references of the innermost definition around it.
    fn add(&mut self, node: Node<'_>, around: Around<'_>) {
        let at = offset(node.start_byte());
        while self.definitions.get(self.next).is_some_and(|definition| definition.start <= at) {
            self.close_until(self.definitions[self.next].start);
            self.open.push(self.next);
            self.next += 1;
        }
        self.close_until(at);
        // What a class assigns, the class refers to.
        let is_constant = |open: &usize| self.definitions[*open].kind == SymbolKind::Constant;
        let owner = self.open.iter().rev().find(|open| !is_constant(open)).or(self.open.last());
        let Some(&owner) = owner else { return };
        let text = self.text.get(node.byte_range()).unwrap_or_default();
        let role = if around.in_bases { Role::Base } else { self.role(node, around) };
        // The definition's own name, and what it calls its object.
        let is_own = role == Role::Use && (self.definitions[owner].own_name() == text || OWN.contains(&text));
        if text.len() > 1 && !is_own {
            self.definitions[owner].references.push(Reference { name: hash_name(text), role });
        }
    }

    /// Leaves the definitions that end before a byte.
    fn close_until(&mut self, at: u32) {
        while self.open.last().is_some_and(|open| self.definitions[*open].end <= at) {
            self.open.pop();
        }
    }

    fn role(&self, node: Node<'_>, around: Around<'_>) -> Role {
        let Some(parent) = around.parent else { return Role::Use };
        if CALLS.contains(&parent.kind()) {
            let is_callee = |field: &&str| parent.child_by_field_name(field).is_some_and(|child| child == node);
            if !CALLEE_FIELDS.iter().any(is_callee) && !is_constructed(parent, node) {
                return Role::Use;
            }
            let receiver = ["object", "receiver", "scope"].iter().find_map(|field| parent.child_by_field_name(field));
            return receiver.map_or(Role::Call, |receiver| self.called_on(receiver));
        }
        if !ACCESSES.contains(&parent.kind()) || parent.end_byte() != node.end_byte() {
            return Role::Use;
        }
        // The first child may be no named node: `self` of Rust, `this` of C#.
        let Some(receiver) = parent.child(0).filter(|receiver| *receiver != node) else { return Role::Use };
        let is_called = around.grandparent.is_some_and(|call| is_called(call, parent));
        match is_called {
            // `super::read()` and `self::read()` of Rust are paths to functions.
            true if parent.kind() == "scoped_identifier" && matches!(self.slice(receiver), "self" | "super") => {
                Role::Call
            }
            true => self.called_on(receiver),
            false if OWN.contains(&self.slice(receiver)) => Role::OwnAccess,
            false => Role::Access,
        }
    }

    fn called_on(&self, receiver: Node<'_>) -> Role {
        match self.slice(receiver) {
            own if OWN.contains(&own) => Role::OwnCall,
            "super" | "parent" if matches!(receiver.kind(), "super" | "relative_scope" | "relative_name") => {
                Role::SuperCall
            }
            "base" if matches!(receiver.kind(), "base" | "base_expression") => Role::SuperCall,
            above if above.starts_with("super(") => Role::SuperCall,
            _ => Role::MethodCall,
        }
    }

    fn slice(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }
}

/// Returns whether a call calls this member: it is the function, also with type arguments around it.
fn is_called(call: Node<'_>, member: Node<'_>) -> bool {
    let is_callee = |field: &&str| call.child_by_field_name(field).is_some_and(|child| child == member);
    let is_generic = call.kind() == "generic_function" && call.child(0).is_some_and(|first| first == member);
    is_generic || CALLS.contains(&call.kind()) && CALLEE_FIELDS.iter().any(is_callee)
}

/// Returns whether an expression with `new` names this class, in grammars that have no field for it.
fn is_constructed(call: Node<'_>, class: Node<'_>) -> bool {
    call.kind() == "object_creation_expression" && call.named_child(0).is_some_and(|first| first == class)
}
