//! Runs a repository's build and tests with limits, and reads their reports
