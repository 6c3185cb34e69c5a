//! Handles of the meters a frame touches: looked up once, not for each frame.

use metrics::{Counter, Histogram, counter, gauge, histogram};
use tokio::time::Instant;

pub(crate) struct Meters {
    pub frames_in: Counter,
    pub frames_out: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub send_queue: Histogram,
    pub repeats: Counter,
}

impl Meters {
    pub fn new() -> Self {
        Self {
            frames_in: counter!("chatwoot.websocket.frames", "direction" => "in"),
            frames_out: counter!("chatwoot.websocket.frames", "direction" => "out"),
            bytes_in: counter!("chatwoot.websocket.bytes", "direction" => "in"),
            bytes_out: counter!("chatwoot.websocket.bytes", "direction" => "out"),
            send_queue: histogram!("chatwoot.websocket.send.queue"),
            repeats: counter!("chatwoot.cable.repeats"),
        }
    }
}

/// The fan-out histogram of a kind of subscriber.
pub(crate) fn fanout(kind: &'static str) -> Histogram {
    histogram!("chatwoot.message.fanout", "audience" => kind)
}

/// Counts a socket whose first subscription was decided, or that left before.
pub(crate) fn handshake(kind: &'static str, outcome: &'static str) {
    counter!("chatwoot.websocket.connections", "kind" => kind, "outcome" => outcome).increment(1);
}

/// Moves the gauge of open sockets.
pub(crate) fn active(kind: &'static str, by: f64) {
    gauge!("chatwoot.websocket.connections.active", "kind" => kind).increment(by);
}

/// Counts an ended socket. Peers choose codes freely (RFC 6455 §7.4): unusual ones share a label.
pub(crate) fn closed(code: u16) {
    let code = match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        _ => "other",
    };
    counter!("chatwoot.websocket.closed", "code" => code).increment(1);
}

/// Tells how long Redis took for a command, or for a pipeline of them, and what came of it: `ok`, `timeout`, `error`.
pub(crate) fn asked_redis(command: &'static str, since: Instant, outcome: &'static str) {
    histogram!("redis.command", "command" => command, "outcome" => outcome).record(since.elapsed());
}
