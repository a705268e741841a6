//! Git for Patchwright: clone, commit and push over gix, without a git program
