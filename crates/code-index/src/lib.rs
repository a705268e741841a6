//! Finds the files an issue is about, without a model
