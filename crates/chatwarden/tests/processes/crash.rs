//! kill -9 while visitors write: what was acknowledged is there, once, in order, and is told.
//!
//! 20 seeds by default; `CHATWARDEN_CRASH_SEEDS=1000` by hand (figures in docs/performance.md).

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Durability, Postgres, Server};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::desk::{Desk, SETTINGS, program};
use crate::socket::{Socket, told};

/// Visitors who write at the same time.
const WRITERS: usize = 4;
/// Crashes that a desk lives through: an account that had more events than a resume replays is told to fetch
/// its state anew, and then nothing could be heard.
const CRASHES_OF_A_DESK: u64 = 3;

fn seeds() -> u64 {
    std::env::var("CHATWARDEN_CRASH_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

#[expect(clippy::disallowed_methods, reason = "the server under test has the machine's clock")]
fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0))
}

fn crash(mut server: Server) -> Result<()> {
    server.start()?;
    let mut desk = Desk::make(&server, WRITERS)?;
    let port = server.port();
    let mut expected: Vec<Vec<String>> = vec![Vec::new(); WRITERS];
    let (mut told_before, mut count) = (0_usize, 0_usize);
    for seed in 0..seeds() {
        if seed > 0 && seed % CRASHES_OF_A_DESK == 0 {
            count += expected.iter().map(Vec::len).sum::<usize>();
            expected = vec![Vec::new(); WRITERS];
            desk = Desk::make(&server, WRITERS)?;
        }
        let mut chance = StdRng::seed_from_u64(seed);
        let since = unix_now() - 1;
        let mut socket = Socket::open(port, &desk, None)?;
        let acknowledged: Vec<Mutex<Vec<String>>> =
            (0..WRITERS).map(|_| Mutex::default()).collect();
        // Killed after a number of acknowledgements: early, late, in the middle of a burst.
        let enough = chance.random_range(1..120_usize);
        std::thread::scope(|scope| -> Result<()> {
            for (writer, list) in acknowledged.iter().enumerate() {
                let desk = &desk;
                scope.spawn(move || {
                    for number in 0.. {
                        let content = format!("{seed}.{writer}.{number}");
                        if !desk.write(port, writer, &content) {
                            return;
                        }
                        list.lock().expect("no writer panics").push(content);
                    }
                });
            }
            loop {
                let count: usize =
                    acknowledged.iter().map(|l| l.lock().expect("no writer panics").len()).sum();
                if count >= enough {
                    break;
                }
                std::thread::yield_now();
            }
            server.kill()
        })?;
        // What the socket was told before its server died.
        let mut heard = Vec::new();
        let _ = socket.until(Duration::from_millis(300), |frame| {
            heard.extend(told(frame));
            false
        });
        told_before += heard.len();
        server.start()?;
        let lists: Vec<Vec<String>> = acknowledged
            .into_iter()
            .map(|list| list.into_inner().expect("no writer panics"))
            .collect();

        let mut socket = Socket::open(port, &desk, Some(since))?;
        let missing = socket.hear(&lists.concat(), Duration::from_secs(20))?;
        ensure!(
            missing.is_empty(),
            "seed {seed}: acknowledged, but never told after the restart: {missing:?}"
        );

        for (writer, list) in lists.into_iter().enumerate() {
            let expected = expected.get_mut(writer).context("a writer")?;
            expected.extend(list);
            let found = desk.written(&server, writer)?;
            // One that was under way when the server died may stand although nobody was told so.
            let mut rest = found.iter();
            for wanted in expected.iter() {
                ensure!(
                    rest.any(|content| content == wanted),
                    "seed {seed}: {wanted} of writer {writer} is lost or out of order in {found:?}"
                );
            }
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            ensure!(
                once.len() == found.len(),
                "seed {seed}: a message of writer {writer} stands twice"
            );
            *expected = found;
        }
    }
    count += expected.iter().map(Vec::len).sum::<usize>();
    eprintln!(
        "{} crashes, {count} messages, {told_before} of them told before their server died",
        seeds()
    );
    server.stop()
}

#[test]
fn nothing_acknowledged_is_lost_on_sqlite() -> Result<()> {
    crash(Server::new(program(), &SETTINGS)?)
}

#[test]
fn nothing_acknowledged_is_lost_on_postgres() -> Result<()> {
    let postgres = Postgres::start(Durability::Full)?;
    let mut settings = SETTINGS.to_vec();
    settings.push(("DATABASE_URL", postgres.url()));
    crash(Server::new(program(), &settings)?)
}
