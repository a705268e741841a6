#![doc = include_str!("../README.md")]

mod audit;
mod auth;
pub mod cli;
mod command;
pub mod compose;
pub mod config;
mod demo;
mod dispatch;
mod doctor;
mod door;
mod feed;
mod keyring;
mod master;
mod notify;
mod route;
pub mod serve;
pub mod settings;
mod telemetry;
mod terminal;
mod upkeep;
mod worker;
