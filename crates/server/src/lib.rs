#![doc = include_str!("../README.md")]

pub mod cli;
mod command;
pub mod compose;
pub mod config;
mod demo;
mod doctor;
mod draft_folder;
mod live_config;
mod master_keys;
mod metrics_endpoint;
mod patch;
mod private_dir;
mod saved_logins;
pub mod serve;
pub mod settings;
mod telemetry;
mod terminal;
