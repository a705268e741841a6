//! The built-in forge: issues in the store, bare repositories on disk
