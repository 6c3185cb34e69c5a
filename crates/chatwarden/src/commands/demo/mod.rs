//! `demo`: a support desk with some weeks of history, and a live conversation through the real
//! interfaces.

mod client;
mod live;
mod seed;
mod words;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::{Arguments, serve};
use crate::config::{Config, Sources};
use crate::secrets::Secrets;

/// Who signs in to the demo.
pub(super) const EMAIL: &str = "ada@acme.example";
/// With what.
pub(super) const PASSWORD: &str = "Demo-1234";

/// What the live conversation needs of the desk that was made.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    account: i64,
    user: i64,
    token: String,
    pubsub_token: String,
    inbox_identifier: String,
}

/// Makes the desk, serves it, plays a conversation, and goes on serving until told to stop.
///
/// # Errors
/// What keeps the server from starting.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // A desk of its own, gone with the demo, unless the caller named a place.
    let folder = tempfile::Builder::new().prefix("chatwarden-demo-").tempdir()?;
    let config = Config::load(sources(arguments, folder.path()), arguments.config.as_deref())?;
    let secrets = Secrets::load(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let desk = runtime.block_on(seed::desk(&config, &secrets)).context("making the sample desk")?;
    runtime.shutdown_background();
    serve::run_with(&config, move |bound: SocketAddr| {
        let desk = Arc::new(desk);
        async move {
            if let Err(error) = live::play(bound, &desk).await {
                tracing::error!(error = format!("{error:#}"), "the live conversation failed");
            }
        }
    })
}

fn sources(arguments: &Arguments, folder: &Path) -> Sources {
    let mut sources = arguments.sources(std::env::vars_os());
    let mut unless_typed = |name: &'static str, typed: bool, value: String| {
        if !typed {
            sources.option(name, "demo", Some(value));
        }
    };
    let database = format!("sqlite://{}", folder.join("demo.sqlite3").display());
    unless_typed("DATA_DIR", arguments.data_dir.is_some(), folder.display().to_string());
    unless_typed("DATABASE_URL", arguments.database_url.is_some(), database);
    // Whoever watches a demo does not want to wait for balancers, nor to read a line a request.
    unless_typed("DRAIN_DELAY", false, "0s".to_owned());
    unless_typed("LOG_LEVEL", std::env::var_os("LOG_LEVEL").is_some(), "warn".to_owned());
    sources
}
