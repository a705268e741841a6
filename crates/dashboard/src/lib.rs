#![doc = include_str!("../README.md")]

pub mod assets;
mod frame;
pub mod markdown;
pub mod page;
mod time;
mod words;

pub use frame::{Frame, Theme, Viewer};
pub use words::{Language, Words};
