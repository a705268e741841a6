#![doc = include_str!("../README.md")]

pub mod assets;
pub mod chart;
pub mod diff;
mod frame;
pub mod highlight;
pub mod markdown;
pub mod page;
mod time;
mod words;

pub use frame::{Frame, Theme, Viewer};
pub use words::{Language, Words};
