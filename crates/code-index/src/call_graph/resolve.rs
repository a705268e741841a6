//! Finds the definitions that a reference may mean.

use std::collections::{HashMap, HashSet};

use super::Nodes;
use crate::index::Index;
use crate::structure::{Reference, Role};
use crate::words::Word;

/// A name of more definitions than this says nothing about which of them is meant.
pub(super) const MAX_TARGETS: usize = 30;
/// A base class with more namesakes than this is not followed.
const MAX_BASES: usize = 5;
/// Among more namesakes than this, those in other files are not even looked at.
const MAX_NAMESAKES: usize = 500;
/// How many levels of base or derived classes are followed, and about how many classes.
const MAX_LEVELS: usize = 6;
const MAX_RELATIVES: usize = 60;

/// The definitions with the relations that resolve names.
pub(super) struct Resolver<'a> {
    pub(super) nodes: &'a Nodes<'a>,
    index: &'a Index,
    /// The methods of each class by name.
    methods: HashMap<(usize, Word), usize>,
    /// The direct base classes of each class, and the direct derived ones.
    bases: HashMap<usize, Vec<usize>>,
    derived: HashMap<usize, Vec<usize>>,
    /// How many definitions refer to each name.
    references: HashMap<Word, f64>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(nodes: &'a Nodes<'a>, index: &'a Index) -> Self {
        let (methods, references) = (HashMap::new(), HashMap::new());
        let (bases, derived) = (HashMap::new(), HashMap::new());
        let mut resolver = Self { nodes, index, methods, bases, derived, references };
        for (number, node) in nodes.all.iter().enumerate() {
            if let Some(class) = node.class {
                resolver.methods.entry((class, node.name)).or_insert(number);
            }
            let mut last = None;
            for reference in &node.definition.references {
                // Sorted by name: a definition counts once.
                if last.replace(reference.name) != Some(reference.name) && nodes.by_name.contains_key(&reference.name) {
                    *resolver.references.entry(reference.name).or_default() += 1.0;
                }
            }
            if node.is_class() {
                let bases = resolver.direct_bases(number);
                for base in &bases {
                    resolver.derived.entry(*base).or_default().push(node.first);
                }
                resolver.bases.entry(node.first).or_default().extend(bases);
            }
        }
        resolver
    }

    fn direct_bases(&self, class: usize) -> Vec<usize> {
        let (node, all) = (&self.nodes.all[class], &self.nodes.all);
        let mut found = Vec::new();
        for base in node.definition.references.iter().filter(|reference| reference.role == Role::Base) {
            let classes = |named: &[usize]| -> Vec<usize> {
                let is_other = |one: &usize| all[*one].is_class() && *one != all[class].first;
                named.iter().copied().filter(is_other).collect()
            };
            let here = classes(self.nodes.named_in(base.name, node.position));
            let nearest = if here.is_empty() { classes(self.few_named(base.name)) } else { here };
            if nearest.len() <= MAX_BASES {
                found.extend(nearest);
            }
        }
        found
    }

    /// Returns the definitions with a name, or none if there are so many that none of them can be meant.
    pub(super) fn few_named(&self, name: Word) -> &[usize] {
        let named = self.nodes.named(name);
        if named.len() <= MAX_NAMESAKES { named } else { &[] }
    }

    /// Returns the classes that a relation leads to from a class, nearest first.
    fn follow(relation: &HashMap<usize, Vec<usize>>, class: usize) -> Vec<usize> {
        let (mut all, mut known, mut level) = (Vec::new(), HashSet::from([class]), vec![class]);
        for _ in 0..MAX_LEVELS {
            let next = level.iter().flat_map(|one| relation.get(one).into_iter().flatten()).copied();
            level = next.filter(|one| known.insert(*one)).take(MAX_RELATIVES).collect();
            all.extend(&level);
            if level.is_empty() || all.len() >= MAX_RELATIVES {
                break;
            }
        }
        all
    }

    /// Returns the method of a class, or the nearest one that it inherits.
    pub(super) fn method(&self, class: usize, name: Word) -> Option<usize> {
        self.methods.get(&(class, name)).copied().or_else(|| self.inherited(class, name))
    }

    fn inherited(&self, class: usize, name: Word) -> Option<usize> {
        let bases = Self::follow(&self.bases, class);
        bases.into_iter().find_map(|base| self.methods.get(&(base, name)).copied())
    }

    /// Returns the methods that override a method or that it overrides.
    pub(super) fn overrides(&self, method: usize) -> Vec<usize> {
        let node = &self.nodes.all[method];
        let Some(class) = node.class else { return Vec::new() };
        let relatives = Self::follow(&self.bases, class).into_iter().chain(Self::follow(&self.derived, class));
        relatives.filter_map(|relative| self.methods.get(&(relative, node.name)).copied()).collect()
    }

    /// Returns how many definitions refer to a definition, shared among its namesakes.
    pub(super) fn count_references(&self, number: usize) -> f64 {
        let name = self.nodes.all[number].name;
        self.references.get(&name).map_or(0.0, |count| count / self.nodes.named(name).len().max(1) as f64)
    }

    /// Returns what a definition refers to, each with a share by how sure that is, and whether it calls it.
    pub(super) fn targets(&self, number: usize) -> Vec<(usize, f64, bool)> {
        let mut found: HashMap<usize, (f64, bool)> = HashMap::new();
        for reference in &self.nodes.all[number].definition.references {
            let candidates = self.candidates(number, *reference);
            if candidates.len() > MAX_TARGETS {
                continue;
            }
            let share = strength(reference.role) / candidates.len().max(1) as f64;
            for target in candidates.into_iter().filter(|target| *target != number) {
                let (known, is_called) = found.entry(target).or_default();
                *known = known.max(share);
                *is_called |= is_call(reference.role);
            }
        }
        // In a fixed order, so that a ranking is reproducible.
        let mut found: Vec<(usize, f64, bool)> =
            found.into_iter().map(|(target, (share, is_called))| (target, share, is_called)).collect();
        found.sort_unstable_by_key(|(target, ..)| *target);
        found
    }

    fn candidates(&self, number: usize, reference: Reference) -> Vec<usize> {
        let (node, all) = (&self.nodes.all[number], &self.nodes.all);
        let named = self.few_named(reference.name);
        let select =
            |test: &dyn Fn(usize) -> bool| -> Vec<usize> { named.iter().copied().filter(|one| test(*one)).collect() };
        let is_imported = |one: usize| {
            let file = u32::try_from(all[one].file).unwrap_or(u32::MAX);
            all[one].class.is_none() && self.index.neighbours[node.file].binary_search(&file).is_ok()
        };
        match reference.role {
            Role::OwnCall | Role::OwnAccess | Role::SuperCall => {
                let find = if reference.role == Role::SuperCall { Self::inherited } else { Self::method };
                let own = node.class.and_then(|class| find(self, class, reference.name));
                own.map_or_else(|| select(&|one| all[one].class.is_some()), |own| vec![own])
            }
            Role::Call | Role::Use | Role::Base => {
                let in_file = self.nodes.named_in(reference.name, node.position).iter().copied();
                let here: Vec<usize> = in_file.filter(|one| all[*one].class.is_none()).collect();
                let imported = if here.is_empty() { select(&is_imported) } else { Vec::new() };
                match () {
                    () if !here.is_empty() => here,
                    () if !imported.is_empty() => imported,
                    // A value with the name of something far away is a variable.
                    () if reference.role == Role::Use => Vec::new(),
                    () => select(&|one| all[one].class.is_none()),
                }
            }
            Role::MethodCall | Role::Access => {
                let imported = select(&is_imported);
                if imported.is_empty() { named.to_vec() } else { imported }
            }
        }
    }
}

fn is_call(role: Role) -> bool {
    matches!(role, Role::Call | Role::MethodCall | Role::OwnCall | Role::SuperCall)
}

fn strength(role: Role) -> f64 {
    match role {
        _ if is_call(role) => 1.0,
        Role::Base => 0.7,
        _ => 0.5,
    }
}
