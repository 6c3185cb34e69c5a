//! Messages a second through HTTP, against what the database does with the same statements.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use chatwarden_testkit::services::{Durability, Postgres, Server};
use tokio::runtime::Runtime;

use crate::client::{Load, load};
use crate::desk::{Desk, Desks};
use crate::{Measured, pgbench, sqlite};

/// Connections, and conversations that are written in.
const CONNECTIONS: usize = 16;
/// On SQLite: two of its groups of transactions, so that one fills while the other is committed.
const CONNECTIONS_SQLITE: usize = 64;

pub fn per_cent(of: f64, whole: f64) -> f64 {
    100.0 * of / whole
}

fn shown(load: &Load) -> String {
    format!(
        "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        load.rate,
        ms(load.quantile(0.5)),
        ms(load.quantile(0.99))
    )
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// On PostgreSQL: against pgbench, and one account against many.
pub fn postgres(runtime: &Runtime, program: &Path, lasting: Duration) -> Result<Vec<Measured>> {
    let postgres = Postgres::start(Durability::Full)?;
    let mut settings = SETTINGS.to_vec();
    settings.push(("DATABASE_URL", postgres.url()));
    let mut server = Server::new(program, &settings)?;
    server.start()?;
    let mut desks = Desks::new(&server)?;
    let one = desks.desk(CONNECTIONS)?;
    let many = (0..CONNECTIONS).map(|_| desks.desk(1)).collect::<Result<Vec<Desk>>>()?;
    let of_one: Vec<Vec<u8>> = one.conversations.iter().map(|c| one.message(*c)).collect();
    let of_many: Vec<Vec<u8>> =
        many.iter().flat_map(|desk| desk.conversations.iter().map(|c| desk.message(*c))).collect();

    let first = runtime.block_on(load(server.port(), of_one.clone(), lasting))?;
    let spread = runtime.block_on(load(server.port(), of_many, lasting))?;
    let scripts = one
        .conversations
        .iter()
        .map(|conversation| {
            let request = one.message(*conversation);
            pgbench::capture(&postgres, || {
                runtime.block_on(async {
                    let (status, _) =
                        crate::client::Client::connect(server.port()).await?.send(&request).await?;
                    ensure!(status == 200, "{status}");
                    Ok(())
                })
            })
        })
        .collect::<Result<Vec<String>>>()?;
    println!(
        "\nthe statements of a message, as pgbench runs them:\n{}",
        scripts.first().map_or("", String::as_str)
    );
    server.stop()?;
    let bare = pgbench::run(&postgres, &scripts, lasting)?;
    println!(
        "postgres: {} · 16 accounts: {} · pgbench: {bare:.0}/s",
        shown(&first),
        shown(&spread)
    );
    let share = per_cent(first.rate, bare);
    let alone = per_cent(first.rate, spread.rate);
    Ok(vec![
        Measured {
            what: "creating a message through HTTP, PostgreSQL, 16 connections",
            value: format!("{} = {share:.0} % of pgbench's {bare:.0}/s", shown(&first)),
            wanted: "60 %",
            met: share >= 60.0,
        },
        Measured {
            what: "16 conversations of one account against 16 accounts",
            value: format!("{:.0}/s against {:.0}/s = {alone:.0} %", first.rate, spread.rate),
            wanted: "80 %",
            met: alone >= 80.0,
        },
    ])
}

/// On SQLite: against a loop without a server that commits 32 transactions at a time.
pub fn sqlite(
    runtime: &Runtime,
    program: &Path,
    bare: &Path,
    lasting: Duration,
) -> Result<Measured> {
    let mut server = Server::new(program, &SETTINGS)?;
    server.start()?;
    let desk = Desks::new(&server)?.desk(CONNECTIONS_SQLITE)?;
    let requests = desk.conversations.iter().map(|c| desk.message(*c)).collect();
    let load = runtime.block_on(load(server.port(), requests, lasting))?;
    server.stop()?;
    let bare = sqlite::run(runtime, bare, CONNECTIONS_SQLITE, lasting)?;
    println!("sqlite: {} · bare loop: {bare:.0}/s", shown(&load));
    let share = per_cent(load.rate, bare);
    Ok(Measured {
        what: "creating a message through HTTP, SQLite, `synchronous=FULL`, 64 connections",
        value: format!("{} = {share:.0} % of a bare loop's {bare:.0}/s", shown(&load)),
        wanted: "60 %",
        met: share >= 60.0,
    })
}

/// Without limits by address, and with the log of every request left out, as where load is measured.
pub const SETTINGS: [(&str, &str); 3] = [
    ("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1"),
    ("LOG_LEVEL", "warn"),
    ("CONVERSATION_MESSAGE_PER_MINUTE_LIMIT", "100000000"),
];
