//! Load runs against a release server, as ratios to what the machine can do, measured in the same
//! run: PostgreSQL's own pgbench, and a bare loop on SQLite, with the very statements the server ran.
//!
//! `cargo xtask bench` builds what it needs and runs all of it; the results go to
//! `docs/performance.md`.

#![expect(clippy::print_stdout, reason = "a command line speaks on it")]

mod client;
mod desk;
mod fanout;
mod idle;
mod lists;
mod messages;
mod pgbench;
mod sqlite;
mod start;
mod telemetry;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

/// What to measure, and how long.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release build of the server
    #[arg(long)]
    server: PathBuf,
    /// The release build of SQLite's bare loop (crates/bench/src/bin/sqlite_loop.rs)
    #[arg(long)]
    sqlite_loop: PathBuf,
    /// Seconds a rate is measured over
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only the runs whose name contains this
    #[arg(default_value = "")]
    only: String,
}

/// One line of the result.
#[derive(Debug)]
struct Measured {
    what: &'static str,
    value: String,
    wanted: &'static str,
    met: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let lasting = Duration::from_secs(arguments.seconds);
    let wanted = |name: &str| name.contains(&arguments.only);
    let mut results = Vec::new();
    if wanted("postgres") {
        results.extend(messages::postgres(&runtime, &arguments.server, lasting)?);
    }
    if wanted("sqlite") {
        let bare = &arguments.sqlite_loop;
        results.push(messages::sqlite(&runtime, &arguments.server, bare, lasting)?);
    }
    if wanted("lists") {
        results.extend(lists::sqlite(&runtime, &arguments.server)?);
        results.extend(lists::postgres(&runtime, &arguments.server)?);
    }
    if wanted("telemetry") {
        results.push(telemetry::run(&runtime, &arguments.server)?);
    }
    if wanted("fanout") {
        results.push(fanout::run(&runtime, &arguments.server)?);
    }
    if wanted("idle") {
        results.push(idle::run(&runtime, &arguments.server)?);
    }
    if wanted("start") {
        results.extend(start::run(&runtime, &arguments.server)?);
    }
    println!("\n| what | measured | wanted | met |\n|---|---|---|---|");
    for line in &results {
        println!(
            "| {} | {} | {} | {} |",
            line.what,
            line.value,
            line.wanted,
            if line.met { "yes" } else { "**no**" }
        );
    }
    Ok(())
}
