//! Strict fakes, contract suites and real test servers for Patchwright
