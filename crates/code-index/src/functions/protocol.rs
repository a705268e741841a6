//! Methods that a language calls, and the words with which people speak of what they do.

use crate::query::Query;

/// Names of methods in several languages, with words for what they do.
const PROTOCOLS: &[(&[&str], &[&str])] = &[
    (&["__str__", "toString", "ToString", "to_s", "__toString"], &["str", "string", "printing", "printed", "display"]),
    (&["__repr__", "inspect", "fmt"], &["repr", "representation", "printing", "printed", "display"]),
    (&["__format__"], &["format", "formatting"]),
    (
        &["__iter__", "__next__", "iterator", "next", "each", "GetEnumerator"],
        &["iter", "iterate", "iterating", "iteration", "iterable"],
    ),
    (&["__len__", "length", "size", "count"], &["len", "length"]),
    (
        &["__eq__", "__ne__", "equals", "Equals", "eq", "compareTo", "CompareTo"],
        &["equal", "equality", "equals", "compare", "comparing", "comparison"],
    ),
    (
        &["__lt__", "__gt__", "__le__", "__ge__", "cmp", "partial_cmp"],
        &["ordering", "sorting", "compare", "comparison"],
    ),
    (&["__hash__", "hashCode", "GetHashCode", "hash"], &["hash", "hashable", "unhashable"]),
    (
        &["__getstate__", "__setstate__", "__reduce__", "__reduce_ex__"],
        &["pickle", "pickled", "pickling", "unpickle", "unpickling"],
    ),
    (&["__copy__", "__deepcopy__", "clone", "Clone"], &["copy", "copied", "copying", "deepcopy", "clone"]),
    (
        &["__getattr__", "__getattribute__", "__setattr__", "__delattr__"],
        &["getattr", "setattr", "hasattr", "attribute"],
    ),
    (&["__getitem__", "__setitem__", "__delitem__", "index"], &["index", "indexing", "slice", "slicing", "subscript"]),
    (&["__contains__", "contains", "has"], &["contains", "membership"]),
    (&["__add__", "__radd__", "__iadd__", "add"], &["add", "adding", "addition", "sum"]),
    (&["__sub__", "__rsub__", "sub"], &["subtract", "subtracting", "subtraction"]),
    (&["__mul__", "__rmul__", "__matmul__", "mul"], &["multiply", "multiplying", "multiplication", "product"]),
    (&["__truediv__", "__rtruediv__", "__floordiv__", "div"], &["divide", "dividing", "division"]),
    (&["__or__", "__ror__"], &["union", "combine", "combining"]),
    (&["__and__", "__rand__"], &["intersection", "combine", "combining"]),
    (&["__bool__", "__nonzero__"], &["bool", "boolean", "truthiness"]),
    (&["__call__", "__invoke", "Invoke"], &["call", "callable", "calling"]),
    (&["__enter__", "__exit__", "drop", "Dispose", "close"], &["context", "dispose", "closing"]),
    (&["__dir__"], &["dir"]),
];
/// How many words count.
const MAX_WORDS: usize = 2;

/// Returns how much the text speaks of what a method with this name does when the language calls it.
pub(super) fn score(query: &Query, name: &str) -> f64 {
    let Some((_, words)) = PROTOCOLS.iter().find(|(names, _)| names.contains(&name)) else { return 0.0 };
    words.iter().filter(|word| query.plain.contains_key(**word)).take(MAX_WORDS).fold(0.0, |sum, _| sum + 1.0)
}
