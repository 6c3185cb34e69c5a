//! The command line: what can be typed, and what each command does.

mod admin;
mod arguments;
mod config;
mod demo;
mod migrate;
mod password;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

pub use arguments::{
    AdminCommand, Arguments, Command, ConfigCommand, CreateAdmin, Migrate, PlatformApp,
    PlatformAppCommand,
};
pub use password::Password;

use crate::config::{Config, Invalid};

/// Exit codes of operations.md §10.1; 2 is clap's.
const FAILURE: u8 = 1;
const CONFIG_INVALID: u8 = 3;

/// Runs the command and says on the standard error what went wrong.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match error.is::<Invalid>() {
                true => CONFIG_INVALID,
                false => FAILURE,
            };
            // With the standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "chatwarden: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn dispatch(arguments: &Arguments) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Reference) = arguments.command() {
        return config::reference();
    }
    let config = Config::load(arguments.sources(std::env::vars_os()), arguments.config.as_deref())?;
    match arguments.command() {
        Command::Config(command) => config::run(command, &config),
        Command::Serve => serve::run(&config),
        Command::Migrate(options) => migrate::run(*options, &config),
        Command::Admin(command) => admin::run(command, &config),
        Command::Demo => demo::run(arguments),
    }
}
