//! `admin`: what no user of the web interface may.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use chatwarden_core::error::Invalid;
use chatwarden_core::{passwords, setup};

use super::password::Chosen;
use super::{AdminCommand, CreateAdmin, PlatformAppCommand, serve};
use crate::config::Config;
use crate::options;
use crate::secrets::Secrets;

/// Runs an administrator's command on the database itself.
///
/// # Errors
/// A database that can't be reached; values that the product refuses.
pub(super) fn run(command: &AdminCommand, config: &Config) -> anyhow::Result<()> {
    let secrets = Secrets::load(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let desk = Arc::new(options::desk(config, &secrets.key_base));
        let db = serve::open(config, desk).await?;
        let outcome = match command {
            AdminCommand::Create(wanted) => create(&db, wanted).await,
            AdminCommand::PlatformApp(PlatformAppCommand::Create(wanted)) => {
                let name = wanted.name.clone();
                let token = db
                    .write(async move |tx| chatwarden_core::platform::create_app(tx, &name).await)
                    .await?;
                writeln!(std::io::stdout(), "{token}").map_err(anyhow::Error::from)
            }
        };
        db.close().await;
        outcome
    })
}

/// A user who administers an account, and the account where it is new.
async fn create(db: &chatwarden_db::Db, wanted: &CreateAdmin) -> anyhow::Result<()> {
    let (password, chosen_here) = match wanted.password.choose()? {
        Chosen::Given(password) => (password, false),
        Chosen::Made(password) => (password, true),
    };
    let mut faults = Invalid::default();
    passwords::check(&mut faults, "password", password.expose());
    faults.check()?;
    let hashed = passwords::hash(password.expose(), &db.ambient().bytes())
        .context("hashing the password")?;
    let (name, email, account) =
        (wanted.name.clone(), wanted.email.clone(), wanted.account.clone());
    let made =
        db.write(async move |tx| setup::found(tx, &account, &name, &email, hashed).await).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} administers account {} ({})", wanted.email, made.account.id, wanted.account)?;
    if chosen_here {
        writeln!(out, "password: {}", password.expose())?;
    }
    writeln!(out, "API token: {}", made.token)?;
    Ok(())
}
