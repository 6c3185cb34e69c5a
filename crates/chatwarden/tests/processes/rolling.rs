//! Two nodes that are restarted in turn, as an update does it, while visitors write: no request fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use chatwarden_testkit::services::{Connection, call};

use crate::desk::Desk;
use crate::pair::Pair;

/// Visitors who write at the same time.
const WRITERS: usize = 4;
/// How often the balancer asks a node whether it is ready.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// Restarts of either node.
const RESTARTS: usize = 20;

fn restarts() -> usize {
    std::env::var("CHATWARDEN_ROLLING_RESTARTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(RESTARTS)
}

/// What stands before the nodes: it sends to those that were ready when last asked.
struct Balancer {
    nodes: [(u16, AtomicBool); 2],
    turn: AtomicUsize,
    over: AtomicBool,
}

impl Balancer {
    fn ask(&self) {
        while !self.over.load(Ordering::SeqCst) {
            for (port, ready) in &self.nodes {
                let answer = call(*port, "GET", "/readyz", &[], "");
                ready.store(answer.is_ok_and(|answer| answer.status == 200), Ordering::SeqCst);
            }
            std::thread::park_timeout(ASKED_EVERY);
        }
    }

    /// A node that is ready, in turn; `None` once it is over.
    fn node(&self) -> Option<u16> {
        while !self.over.load(Ordering::SeqCst) {
            let (port, ready) = &self.nodes[self.turn.fetch_add(1, Ordering::SeqCst) % 2];
            if ready.load(Ordering::SeqCst) {
                return Some(*port);
            }
            std::thread::yield_now();
        }
        None
    }
}

#[test]
fn nodes_are_restarted_in_turn_without_a_failed_request() -> Result<()> {
    // Long enough for a balancer to notice.
    let mut pair = Pair::start(&[("DRAIN_DELAY", "2s")])?;
    let nodes = &mut pair.nodes;
    let desk = Desk::make(&nodes[0], WRITERS)?;
    let balancer = Balancer {
        nodes: [0, 1].map(|n: usize| (nodes[n].port(), AtomicBool::new(true))),
        turn: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let failed = Mutex::new(Vec::new());
    let written: Vec<Vec<String>> = std::thread::scope(|scope| -> Result<_> {
        scope.spawn(|| balancer.ask());
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (desk, balancer, failed) = (&desk, &balancer, &failed);
                scope.spawn(move || {
                    let mut written = Vec::new();
                    let mut connection = None;
                    while let Some(port) = balancer.node() {
                        let content = format!("{writer}.{}", written.len());
                        // Some keep their connection for as long as they may, the others never.
                        let acknowledged = if writer % 2 == 0 {
                            desk.write(port, writer, &content)
                        } else {
                            let kept = match connection.take() {
                                Some(kept) => Ok(kept),
                                None => Connection::open(port),
                            };
                            kept.is_ok_and(|mut kept| {
                                let (acknowledged, goes_on) =
                                    desk.write_on(&mut kept, writer, &content);
                                connection = goes_on.then_some(kept);
                                acknowledged
                            })
                        };
                        if acknowledged {
                            written.push(content);
                        } else {
                            failed.lock().expect("no writer panics").push(content);
                        }
                    }
                    written
                })
            })
            .collect();
        let restarted = (0..restarts()).try_for_each(|restart| -> Result<()> {
            let node = &mut nodes[restart % 2];
            node.stop()?;
            node.start()?;
            // The other goes only when this one is known to be back.
            while !balancer.nodes[restart % 2].1.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(())
        });
        balancer.over.store(true, Ordering::SeqCst);
        let written =
            writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect();
        restarted.map(|()| written)
    })?;
    let failed = failed.into_inner().expect("no writer panics");
    let count: usize = written.iter().map(Vec::len).sum();
    eprintln!("{} restarts, {count} messages, {} failed", restarts(), failed.len());
    ensure!(failed.is_empty(), "failed: {failed:?}");
    ensure!(count > restarts(), "the visitors could hardly write: {count}");
    for (writer, written) in written.iter().enumerate() {
        ensure!(
            desk.written(&nodes[0], writer)? == *written,
            "not what writer {writer} was told stands"
        );
    }
    pair.stop()
}
