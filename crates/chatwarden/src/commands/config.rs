//! `config check`, `config print`, `config reference`.

use std::io::{self, Write as _};

use super::ConfigCommand;
use crate::config::{Config, render_reference};

/// Runs a command about a configuration that is sound.
pub(super) fn run(command: &ConfigCommand, config: &Config) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check => {
            let mut out = io::stdout().lock();
            for warning in config.warnings() {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(out, "the configuration is sound")?;
        }
        ConfigCommand::Print => {
            let mut out = io::stdout().lock();
            for value in config.provided().iter().filter(|value| value.effective) {
                writeln!(out, "{}={}  # {}", value.name, value.shown, value.origin)?;
            }
        }
        ConfigCommand::Reference => reference()?,
    }
    Ok(())
}

/// Prints the reference of all settings; needs no configuration.
pub(super) fn reference() -> anyhow::Result<()> {
    io::stdout().lock().write_all(render_reference().as_bytes())?;
    Ok(())
}
