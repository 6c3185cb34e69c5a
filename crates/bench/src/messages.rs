//! Messages a second through HTTP, against what the database does with the same statements.

use std::path::Path;
use std::slice::from_ref;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatwarden_testkit::services::{Durability, Postgres, Server};
use tokio::runtime::Runtime;

use crate::client::{Load, load, work};
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

/// How often server and pgbench have a turn each: the machine is faster at one time than at another.
const ROUNDS: usize = 5;

/// What was measured one after the other.
struct Round {
    one: Load,
    spread: Load,
    bare: f64,
}

impl Round {
    fn of_pgbench(&self) -> f64 {
        per_cent(self.one.rate, self.bare)
    }

    fn of_many(&self) -> f64 {
        per_cent(self.one.rate, self.spread.rate)
    }
}

/// The round in the middle, by what is looked at.
fn middle(rounds: &mut [Round], by: impl Fn(&Round) -> f64) -> Result<&Round> {
    rounds.sort_unstable_by(|one, other| by(one).total_cmp(&by(other)));
    rounds.get(rounds.len() / 2).context("no round")
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
    // The first answer of a conversation changes more than those after it.
    runtime.block_on(work(server.port(), &of_one, 2))?;
    let scripts = of_one
        .iter()
        .map(|request| {
            pgbench::capture(&postgres, || {
                runtime.block_on(work(server.port(), from_ref(request), 1))
            })
        })
        .collect::<Result<Vec<String>>>()?;
    println!(
        "\nthe statements of a message, as pgbench runs them:\n{}",
        scripts.first().map_or("", String::as_str)
    );
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let measured = runtime.block_on(load(server.port(), of_one.clone(), lasting))?;
        let spread = runtime.block_on(load(server.port(), of_many.clone(), lasting))?;
        server.stop()?;
        let bare = pgbench::run(&postgres, &scripts, lasting)?;
        let round = Round { one: measured, spread, bare };
        println!(
            "postgres: {} = {:.0} % of pgbench's {bare:.0}/s · 16 accounts: {}",
            shown(&round.one),
            round.of_pgbench(),
            shown(&round.spread)
        );
        rounds.push(round);
        // What pgbench wrote there is nobody's to tell.
        postgres.sql("truncate outbox")?;
        server.start()?;
    }
    server.stop()?;
    let round = middle(&mut rounds, Round::of_pgbench)?;
    let share = round.of_pgbench();
    let against_pgbench = Measured {
        what: "creating a message through HTTP, PostgreSQL, 16 connections (the median of 5 rounds)",
        value: format!("{} = {share:.0} % of pgbench's {:.0}/s", shown(&round.one), round.bare),
        wanted: "60 %",
        met: share >= 60.0,
    };
    let round = middle(&mut rounds, Round::of_many)?;
    let alone = round.of_many();
    let against_many = Measured {
        what: "16 conversations of one account against 16 accounts (the median of 5 rounds)",
        value: format!("{:.0}/s against {:.0}/s = {alone:.0} %", round.one.rate, round.spread.rate),
        wanted: "80 %",
        met: alone >= 80.0,
    };
    Ok(vec![against_pgbench, against_many])
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
