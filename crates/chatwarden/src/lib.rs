//! The Chatwarden server: commands, configuration, wiring, shutdown. No rule of the product.

pub mod allocator;
pub mod census;
pub mod checks;
pub mod commands;
pub mod config;
pub mod measure;
pub mod node;
pub mod nodes;
pub mod open_files;
pub mod options;
pub mod post;
pub mod secrets;
pub mod serve;
pub mod web;
