//! The structure of a file: its definitions, and the names that each of them refers to.

#[cfg(feature = "tree-sitter")]
mod parse;

use serde::{Deserialize, Serialize};

use crate::corpus::MAX_FILE_BYTES;
use crate::outline::SymbolKind;
use crate::words::Word;

/// How a definition refers to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    /// `name(…)`
    Call,
    /// `value.name(…)`
    MethodCall,
    /// `self.name(…)`
    OwnCall,
    /// `super().name(…)`
    SuperCall,
    /// `value.name`
    Access,
    /// `self.name`
    OwnAccess,
    /// `name`, as a value or a type.
    Use,
    /// A base of a class, or the trait of an implementation.
    Base,
}

/// A name that a definition refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// The hash of the name as it is written.
    pub(crate) name: Word,
    pub(crate) role: Role,
}

/// A definition with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// The qualified name: `Class.method`.
    pub(crate) name: String,
    pub(crate) kind: SymbolKind,
    /// The range in the file, in bytes.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Sorted and distinct; without those of definitions within it.
    pub(crate) references: Vec<Reference>,
}

impl Definition {
    /// Returns the unqualified name.
    pub(crate) fn own_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// Returns the qualified name of what it is defined in; empty at the top of the file.
    pub(crate) fn scope(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(scope, _)| scope)
    }
}

/// The definitions of a file, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Structure {
    pub(crate) definitions: Vec<Definition>,
}

impl Structure {
    /// Returns the number of definitions and references.
    pub(crate) fn size(&self) -> usize {
        self.definitions.iter().map(|definition| 1 + definition.references.len()).sum()
    }

    /// Parses a file. Files without a grammar, and those above 512 KiB, have no definitions.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        if text.len() as u64 > MAX_FILE_BYTES {
            return Self::default();
        }
        #[cfg(feature = "tree-sitter")]
        return parse::structure(path, text);
        #[cfg(not(feature = "tree-sitter"))]
        {
            let _ = path;
            Self::default()
        }
    }
}

// The tests use all grammars.
#[cfg(all(test, feature = "default"))]
mod tests {
    use super::*;
    use crate::words::hash_name;

    /// Returns which of these names a definition refers to, with the roles.
    fn roles(path: &str, text: &str, of: &str, names: &[&str]) -> Vec<(String, Role)> {
        let structure = Structure::new(path, text);
        let found = structure.definitions.iter().filter(|definition| definition.name == of);
        let references: Vec<Reference> = found.flat_map(|definition| definition.references.clone()).collect();
        let role = |name: &&str| references.iter().find(|one| one.name == hash_name(name)).map(|one| one.role);
        names.iter().filter_map(|name| Some(((*name).to_owned(), role(name)?))).collect()
    }

    fn expect(path: &str, text: &str, of: &str, expected: &[(&str, Role)]) {
        let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
        let expected: Vec<(String, Role)> = expected.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect();
        assert_eq!(roles(path, text, of, &names), expected, "{path}");
    }

    #[test]
    fn calls_accesses_and_bases_of_python_are_told_apart() {
        let text = "class Cart(Base, metaclass=Meta):\n    form = CartForm\n    def total(self, prices):\n        \
                    super().total(prices)\n        self.check(self.limit)\n        prices.first.sum(key=rate)\n        \
                    return round_up(Price(1))\n";
        let total = [
            ("total", Role::SuperCall),
            ("check", Role::OwnCall),
            ("limit", Role::OwnAccess),
            ("first", Role::Access),
            ("sum", Role::MethodCall),
            ("rate", Role::Use),
            ("round_up", Role::Call),
            ("Price", Role::Call),
        ];
        expect("a.py", text, "Cart.total", &total);
        expect("a.py", text, "Cart", &[("Base", Role::Base), ("CartForm", Role::Use)]);
        assert!(roles("a.py", text, "Cart.total", &["key"]).is_empty(), "a keyword is no reference");
        assert!(roles("a.py", text, "Cart", &["round_up"]).is_empty(), "of the method, not of the class");
        assert_eq!(roles("a.py", text, "Cart", &["Meta"]), [("Meta".to_owned(), Role::Use)], "no base");
        let after = "class Cart(List[Price]):\n    def total(self):\n        return supervisor.run()\n    form = CartForm\n\n\ndef first(): pass\n\nHANDLERS = [second]\n";
        expect("a.py", after, "Cart", &[("List", Role::Base), ("CartForm", Role::Use)]);
        expect("a.py", after, "Cart.total", &[("run", Role::MethodCall)]);
        expect("a.py", after, "HANDLERS", &[("second", Role::Use)]);
        assert!(roles("a.py", after, "first", &["second"]).is_empty(), "it ended before");
        assert_eq!(roles("a.py", after, "Cart", &["Price"]), [("Price".to_owned(), Role::Use)]);
    }

    #[test]
    fn calls_and_bases_of_other_languages_are_told_apart() {
        let rust = "impl Store for Disk {\n    fn read(&self) { self.open(); load::<u8>(1); Page::new(); page.flush(); log!(x) }\n}\n";
        expect("a.rs", rust, "Disk", &[("Store", Role::Base)]);
        let read = [("open", Role::OwnCall), ("new", Role::MethodCall), ("flush", Role::MethodCall)];
        expect("a.rs", rust, "Disk.read", &read);
        let paths = "fn read() { super::open(); self::load() }\n";
        expect("a.rs", paths, "read", &[("open", Role::Call), ("load", Role::Call)]);
        let script = "class Cart extends Base { total() { super.total(); this.check(); return sum(this.items, new Price()) } }\n";
        expect("a.js", script, "Cart", &[("Base", Role::Base)]);
        let total = [
            ("total", Role::SuperCall),
            ("check", Role::OwnCall),
            ("sum", Role::Call),
            ("items", Role::OwnAccess),
            ("Price", Role::Call),
        ];
        expect("a.js", script, "Cart.total", &total);
        expect("a.ts", script, "Cart.total", &total);
        let typed = "class Cart extends Base implements Sum { f(): void {} }\n";
        expect("a.ts", typed, "Cart", &[("Base", Role::Base), ("Sum", Role::Base)]);
        let java = "class Cart extends Base implements Sum { int total() { check(); return this.sum(new Price(), list.size()); } }\n";
        expect("A.java", java, "Cart", &[("Base", Role::Base), ("Sum", Role::Base)]);
        let total = [("check", Role::Call), ("sum", Role::OwnCall), ("Price", Role::Call), ("size", Role::MethodCall)];
        expect("A.java", java, "Cart.total", &total);
        let go = "package a\n\nfunc (c *Cart) Total() int { check(); return c.list.Sum() }\n";
        expect("a.go", go, "Cart.Total", &[("check", Role::Call), ("Sum", Role::MethodCall), ("list", Role::Access)]);
        let cpp = "class Cart : public Base { int total() { check(); return list.sum() + this->size(); } };\n";
        expect("a.cpp", cpp, "Cart", &[("Base", Role::Base)]);
        let total = [("check", Role::Call), ("sum", Role::MethodCall), ("size", Role::OwnCall)];
        expect("a.cpp", cpp, "Cart.total", &total);
        let sharp =
            "class Cart : Base { int Total() { base.Total(); Check(); return this.Sum(list.Size(), new Price()); } }\n";
        expect("a.cs", sharp, "Cart", &[("Base", Role::Base)]);
        let total = [
            ("Total", Role::SuperCall),
            ("Check", Role::Call),
            ("Sum", Role::OwnCall),
            ("Size", Role::MethodCall),
            ("Price", Role::Call),
        ];
        expect("a.cs", sharp, "Cart.Total", &total);
        let ruby = "class Cart < Base\n  def total\n    check(1)\n    list.sum\n    self.size\n  end\nend\n";
        expect("a.rb", ruby, "Cart", &[("Base", Role::Base)]);
        let total = [("check", Role::Call), ("sum", Role::MethodCall), ("size", Role::OwnCall)];
        expect("a.rb", ruby, "Cart.total", &total);
        let php = "<?php\nclass Cart extends Base { function total() { parent::total(); check(); $this->sum(); $list->size(); return new Price(); } }\n";
        expect("a.php", php, "Cart", &[("Base", Role::Base)]);
        let total = [
            ("total", Role::SuperCall),
            ("check", Role::Call),
            ("sum", Role::OwnCall),
            ("size", Role::MethodCall),
            ("Price", Role::Call),
        ];
        expect("a.php", php, "Cart.total", &total);
    }

    #[test]
    fn damaged_and_deep_files_are_read_as_far_as_possible() {
        expect("a.py", "def f(:\n    g(\n\ndef whole():\n    helper()\n", "whole", &[("helper", Role::Call)]);
        let deep = format!("def f():\n    return {}g(){}\n", "(".repeat(20_000), ")".repeat(20_000));
        assert_eq!(Structure::new("a.py", &deep).definitions.len(), 1);
        assert!(Structure::new("a.unknown", "def f(): pass").definitions.is_empty());
    }
}
