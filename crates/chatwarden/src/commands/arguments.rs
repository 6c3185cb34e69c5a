//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::password::Password;
use crate::config::Sources;

/// Multi-tenant customer support, API-compatible with Chatwoot.
///
/// Without a command, `serve` is meant. Settings come from the command line, the environment, a
/// TOML file and defaults, in this order; `chatwarden config reference` describes them all.
#[derive(Clone, Debug, Parser)]
#[command(name = "chatwarden", version, propagate_version = true)]
pub struct Arguments {
    /// Configuration file [default: that of CHATWARDEN_CONFIG, else ./chatwarden.toml if present]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on (LISTEN)
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Settings")]
    pub listen: Option<String>,
    /// Folder for files: database, uploads, secrets (DATA_DIR)
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Settings")]
    pub data_dir: Option<String>,
    /// `sqlite://PATH` or `postgres://…` (DATABASE_URL)
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub database_url: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// A command.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the server: HTTP, WebSockets and background work
    Serve,
    /// Bring the schema of the database up to date
    Migrate(Migrate),
    /// Do what no user of the web interface may
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Run a server with sample data in a folder that is removed at its end
    Demo,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Options of `migrate`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Migrate {
    /// Show what is applied and what is pending, and change nothing
    #[arg(long)]
    pub status: bool,
}

/// What an administrator of the machine does.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Create a user who administers an account, and the account if it is new
    Create(CreateAdmin),
    /// Applications that manage accounts and users by the platform API
    #[command(subcommand)]
    PlatformApp(PlatformAppCommand),
}

/// Options of `admin create`.
#[derive(Clone, Debug, Args)]
pub struct CreateAdmin {
    /// Name people see
    #[arg(long)]
    pub name: String,
    /// Address to sign in with
    #[arg(long)]
    pub email: String,
    /// Name of the account
    #[arg(long)]
    pub account: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: Password,
}

/// What can be done about platform applications.
#[derive(Clone, Debug, Subcommand)]
pub enum PlatformAppCommand {
    /// Create one; its token is the last line of the standard output
    Create(PlatformApp),
}

/// Options of `admin platform-app create`.
#[derive(Clone, Debug, Args)]
pub struct PlatformApp {
    /// Name of the application
    pub name: String,
}

/// What can be done about the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is sound (exit code 3 if not)
    Check,
    /// Print what is in effect and where each value comes from, secrets masked
    Print,
    /// Print the reference of all settings, Markdown
    Reference,
}

impl Arguments {
    /// The command; `serve` when none was typed.
    #[must_use]
    pub fn command(&self) -> &Command {
        self.command.as_ref().unwrap_or(&Command::Serve)
    }

    /// The settings that were typed, together with an environment. Variables that are not UTF-8 are
    /// none of ours.
    pub fn sources(&self, environment: impl Iterator<Item = (OsString, OsString)>) -> Sources {
        let text = |os: OsString| os.into_string().ok();
        let mut sources =
            Sources::new(environment.filter_map(|(name, value)| Some((text(name)?, text(value)?))));
        sources.option("LISTEN", "--listen", self.listen.clone());
        sources.option("DATA_DIR", "--data-dir", self.data_dir.clone());
        sources.option("DATABASE_URL", "--database-url", self.database_url.clone());
        sources
    }
}

impl Command {
    /// The command as it is typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Migrate(_) => "migrate",
            Self::Admin(AdminCommand::Create(_)) => "admin create",
            Self::Admin(AdminCommand::PlatformApp(_)) => "admin platform-app create",
            Self::Demo => "demo",
            Self::Config(_) => "config",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_sound() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn lines() {
        for (line, command) in [
            ("", Some("serve")),
            ("serve", Some("serve")),
            ("--listen 0.0.0.0:80", Some("serve")),
            ("serve --listen 0.0.0.0:80 --database-url sqlite://x", Some("serve")),
            ("migrate --status", Some("migrate")),
            ("admin create --name A --email a@b.c --account X", Some("admin create")),
            (
                "admin create --name A --email a@b.c --account X --password-stdin",
                Some("admin create"),
            ),
            ("admin create --name A --email a@b.c --account X --password p --password-stdin", None),
            ("admin create --name A --email a@b.c", None),
            ("admin platform-app create Portal", Some("admin platform-app create")),
            ("admin platform-app create", None),
            ("demo --data-dir /tmp/x", Some("demo")),
            ("config check", Some("config")),
            ("config", None),
            ("admin", None),
            ("serve now", None),
            ("--colour", None),
        ] {
            let parsed = Arguments::try_parse_from(
                std::iter::once("chatwarden").chain(line.split_whitespace()),
            );
            assert_eq!(parsed.ok().map(|parsed| parsed.command().name()), command, "{line:?}");
        }
    }
}
