//! What logs and meters cost: the processor's time a request, with them and without.
//!
//! Two servers get the same load in turn, one of them with all that it has by default (a line a request, every
//! meter), the other with neither; both have the same work behind them at every moment.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chatwarden_testkit::services::Server;
use tokio::runtime::Runtime;

use crate::Measured;
use crate::client::work;
use crate::desk::Desks;
use crate::messages::{SETTINGS, per_cent};

/// How many pairs of servers: two with the same settings come out up to 2.6 % apart.
const PAIRS: usize = 6;
/// How often each server of a pair has a turn right after the other's, and how often right before it.
const ROUNDS: usize = 6;
/// How often each connection asks in a turn.
const TIMES: usize = 150;
/// Connections that send messages, and as many that read the list.
const EACH: usize = 8;

/// A server with its load.
struct Side {
    server: Server,
    requests: Vec<Vec<u8>>,
}

impl Side {
    fn start(program: &Path, level: &str, metrics: &str) -> Result<Self> {
        let mut settings = SETTINGS.to_vec();
        settings.push(("LOG_LEVEL", level));
        settings.push(("METRICS_ENABLED", metrics));
        let mut server = Server::new(program, &settings)?;
        server.start()?;
        let desk = Desks::new(&server)?.desk(EACH)?;
        let mut requests: Vec<Vec<u8>> =
            desk.conversations.iter().map(|number| desk.message(*number)).collect();
        requests.resize(2 * EACH, desk.get("/conversations"));
        Ok(Self { server, requests })
    }

    /// The milliseconds of the processor that the server has had.
    fn used(&self) -> Result<f64> {
        let id = self.server.id().context("it runs")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name before the last parenthesis may hold anything; utime and stime are 14 and 15.
        let (_, rest) = stat.rsplit_once(')').context("a name")?;
        let ticks: Vec<f64> =
            rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse().ok()).collect();
        // A hundredth of a second each, on Linux.
        Ok(ticks.iter().sum::<f64>() * 10.0)
    }

    /// Works a turn; the milliseconds that it took.
    fn turn(&self, runtime: &Runtime) -> Result<f64> {
        let before = self.used()?;
        runtime.block_on(work(self.server.port(), &self.requests, TIMES))?;
        // What the requests left to do in the background is theirs.
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(500)).await });
        Ok(self.used()? - before)
    }
}

/// All logs and meters against none.
pub fn run(runtime: &Runtime, program: &Path) -> Result<Measured> {
    let (mut on, mut off, mut pairs) = (0.0, 0.0, Vec::new());
    for pair in 0..PAIRS {
        let (mut with, mut without);
        if pair % 2 == 0 {
            with = Side::start(program, "info", "true")?;
            without = Side::start(program, "off", "false")?;
        } else {
            without = Side::start(program, "off", "false")?;
            with = Side::start(program, "info", "true")?;
        }
        let (mut around, mut between) = (0.0, 0.0);
        // The machine is faster at one time than at another: a turn is compared with those beside it, of which one
        // came before it and one after.
        for round in 0..=ROUNDS {
            let before = with.turn(runtime)?;
            let inner = without.turn(runtime)? + without.turn(runtime)?;
            let outer = before + with.turn(runtime)?;
            // The first one warms up.
            if round > 0 {
                around += outer;
                between += inner;
            }
        }
        with.server.stop()?;
        without.server.stop()?;
        on += around;
        off += between;
        pairs.push(per_cent(around - between, between));
    }
    println!("telemetry: {pairs:+.1?} % more, by pairs");
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let requests = (PAIRS * ROUNDS * 2 * 2 * EACH * TIMES) as f64;
    let more = per_cent(on - off, off);
    let (on, off) = (on / requests * 1e3, off / requests * 1e3);
    Ok(Measured {
        what: "processor time a request with logs and meters against without, half messages and half lists, SQLite",
        value: format!("{on:.0} µs against {off:.0} µs: {more:+.1} %"),
        wanted: "≤ 5 % more",
        met: more <= 5.0,
    })
}
