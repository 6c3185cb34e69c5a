//! `migrate`: the schema, brought up to date or looked at.

use std::io::Write as _;
use std::sync::Arc;

use chatwarden_core::desk::Desk;
use chatwarden_db::{Ambient, Db};

use super::Migrate;
use crate::config::Config;
use crate::options;

/// Applies what is pending, or shows it.
///
/// # Errors
/// A database that can't be reached; a migration that fails or was changed.
pub(super) fn run(options_typed: Migrate, config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ambient = Ambient { lent: Arc::new(Desk::default()), ..Ambient::default() };
        let db = Db::open(options::database(config), ambient)?;
        let mut out = std::io::stdout().lock();
        if options_typed.status {
            for migration in chatwarden_db::migration_status(&db).await? {
                let state = match migration.at {
                    None => "pending".to_owned(),
                    Some(at) if migration.unchanged => format!("applied {}", at.iso()),
                    Some(at) => format!("applied {}, BUT ITS TEXT HAS CHANGED SINCE", at.iso()),
                };
                writeln!(out, "{:40} {state}", migration.name)?;
            }
        } else {
            let applied = chatwarden_db::migrate(&db).await?;
            for name in &applied {
                writeln!(out, "applied {name}")?;
            }
            if applied.is_empty() {
                writeln!(out, "the schema is up to date")?;
            }
        }
        db.close().await;
        Ok(())
    })
}
