//! Going away, and running a connection over a socket.

use std::time::Duration;

use chatwarden_cable::{Incoming, Outgoing, Protocol, serve};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Stage, confirmed, identifier, message, publication, settle, show};

#[tokio::test(start_paused = true)]
async fn draining_spreads_the_goodbyes() {
    let stage = Stage::new();
    let mut sockets: Vec<_> = (0..50).map(|_| stage.socket()).collect();
    let spread = Duration::from_secs(5);
    let start = Instant::now();
    let draining = stage.hub.drain(spread);
    tokio::pin!(draining);
    let mut left = Vec::new();
    let mut ended = false;
    while !ended {
        tokio::select! {
            () = &mut draining => ended = true,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        let before = sockets.len();
        sockets.retain_mut(|socket| {
            let frames = socket.frames();
            if frames.is_empty() {
                return true;
            }
            assert_eq!(
                frames,
                [
                    json!({"type": "disconnect", "reason": "server_restart", "reconnect": true}),
                    json!({"close": 1012, "reason": "server_restart"}),
                ]
            );
            false
        });
        left.push(before - sockets.len());
    }
    assert!(start.elapsed() <= spread + Duration::from_millis(500));
    assert_eq!(left.iter().sum::<usize>(), 50);
    assert!(left.iter().all(|together| *together < 30), "{left:?} of 50 in the same half second");

    let mut late = stage.connect(Protocol::V1Json);
    assert_eq!(late.frames().last().unwrap()["close"], 1012, "new ones are sent on at once");
}

/// A socket made of two channels; the pump runs beside the test.
struct Peer {
    to_server: Option<mpsc::Sender<Incoming>>,
    from_server: mpsc::Receiver<Outgoing>,
}

fn dial(stage: &Stage) -> Peer {
    let (to_server, incoming) = mpsc::channel(0);
    let (outgoing, from_server) = mpsc::channel(0);
    let (connection, outbox) =
        stage.hub.connect(Protocol::V1Json, std::sync::Arc::clone(&stage.channels));
    stage.tasks.spawn(serve(connection, outbox, incoming, outgoing));
    Peer { to_server: Some(to_server), from_server }
}

impl Peer {
    async fn send(&mut self, frame: Incoming) {
        self.to_server.as_mut().unwrap().send(frame).await.unwrap();
    }

    async fn next(&mut self) -> Option<serde_json::Value> {
        self.from_server.next().await.map(show)
    }
}

fn subscribe(token: &str) -> Incoming {
    let command = json!({"command": "subscribe", "identifier": identifier(token)});
    Incoming::Text(command.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_served_socket_talks_both_ways() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut peer = dial(&stage);
    assert_eq!(peer.next().await, Some(json!({"type": "welcome"})));
    peer.send(Incoming::Other).await;
    peer.send(Incoming::Text("noise".into())).await;
    peer.send(subscribe("t")).await;
    assert_eq!(peer.next().await, Some(confirmed("t")));
    stage.publish(publication(1, &["t"]));
    assert_eq!(peer.next().await.unwrap()["message"], message(1));
    peer.send(Incoming::Close(Some(1001))).await;
    peer.to_server = None;
    settle().await;
    assert_eq!(stage.hub.sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drained_socket_gets_what_was_queued_and_a_moment_to_answer() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut peer = dial(&stage);
    peer.send(subscribe("t")).await;
    settle().await;
    stage.publish(publication(1, &["t"]));
    let hub = std::sync::Arc::clone(&stage.hub);
    let draining = stage.tasks.spawn(async move { hub.drain(Duration::ZERO).await });
    settle().await;
    for expected in [
        json!({"type": "welcome"}),
        confirmed("t"),
        json!({"identifier": identifier("t"), "message": message(1)}),
        json!({"type": "disconnect", "reason": "server_restart", "reconnect": true}),
        json!({"close": 1012, "reason": "server_restart"}),
    ] {
        assert_eq!(peer.next().await, Some(expected));
    }
    settle().await;
    assert_eq!(stage.hub.sockets(), 1, "the peer may still answer");
    assert!(!draining.is_finished(), "and is waited for");
    let start = Instant::now();
    assert_eq!(peer.next().await, None, "it does not");
    assert!(start.elapsed() < Duration::from_secs(3));
    draining.await.unwrap();
    assert_eq!(stage.hub.sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_cannot_hold_its_socket() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut peer = dial(&stage);
    peer.send(subscribe("t")).await;
    for id in 1..=600 {
        stage.publish(publication(id, &["t"]));
    }
    assert_eq!(stage.hub.sockets(), 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.hub.sockets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_socket_is_noticed_when_written() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut peer = dial(&stage);
    peer.send(subscribe("t")).await;
    settle().await;
    let Peer { to_server, from_server } = peer;
    drop(from_server);
    stage.publish(publication(1, &["t"]));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.hub.sockets(), 0);
    drop(to_server);
}
