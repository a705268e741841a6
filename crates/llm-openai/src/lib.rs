#![doc = include_str!("../README.md")]

mod client;
mod record;
mod stream;
mod wire;

pub use client::{MaxTokensField, OpenAi, OpenAiOptions};
pub use record::{Exchange, Recorded, Recording, RecordingError};
