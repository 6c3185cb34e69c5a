//! The Chatwarden server.

use std::process::ExitCode;

use chatwarden::commands::{self, Arguments};
use clap::Parser as _;

fn main() -> ExitCode {
    commands::run(&Arguments::parse())
}
