//! The tests of this crate use Patchwright's adapters as a program outside its workspace does.
