#![doc = include_str!("../README.md")]

pub mod assets;
pub mod chart;
pub mod diff;
pub mod highlight;
mod layout;
pub mod markdown;
pub mod page;
mod time;
mod translations;
pub mod web;

pub use layout::{Layout, Theme, Viewer};
pub use translations::{Language, Translations};
