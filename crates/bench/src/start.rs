//! How soon a server is ready, and what it costs while nobody asks.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatwarden_testkit::services::Server;
use tokio::runtime::Runtime;

use crate::Measured;
use crate::desk::Desks;

/// Starts on an existing SQLite file, several times, and looks at the memory of the last one.
pub fn run(runtime: &Runtime, program: &Path) -> Result<Vec<Measured>> {
    let mut server = Server::new(program, &[("LOG_LEVEL", "warn")])?;
    server.start()?;
    Desks::new(&server)?.desk(4)?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        server.stop()?;
        times.push(server.start()?);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3;
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(5)).await });
    let mib = resident(&server)?;
    server.stop()?;
    println!("start: {median:.0} ms, idle: {mib:.1} MiB");
    Ok(vec![
        Measured {
            what: "start to ready on an existing SQLite file (median of 5)",
            value: format!("{median:.0} ms"),
            wanted: "≤ 300 ms",
            met: median <= 300.0,
        },
        Measured {
            what: "resident memory while idle",
            value: format!("{mib:.1} MiB"),
            wanted: "≤ 40 MB",
            met: mib * 1.048_576 <= 40.0,
        },
    ])
}

/// A server's resident memory in MiB.
pub fn resident(server: &Server) -> Result<f64> {
    let id = server.id().context("the server does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
