//! Who gets a publication, how often, and what becomes of slow readers.

use std::sync::Arc;
use std::time::Duration;

use chatwarden_cable::{HubConfig, InProcess, Protocol};
use serde_json::json;

use crate::stage::{EPOCH, NOW, Socket, Stage, clock, confirmed, identifier, message, publication};

#[tokio::test(start_paused = true)]
async fn a_publication_arrives_once_however_many_streams_match() {
    let stage = Stage::new();
    stage.allow("a", &["account", "team"]);
    stage.allow("b", &["account"]);
    stage.allow("c", &[]);
    let mut a = stage.subscriber("a").await;
    let mut b = stage.subscriber("b").await;
    let mut c = stage.subscriber("c").await;
    let reached = stage.publish(publication(1, &["account", "a", "team", "account"]));
    assert_eq!(reached, 2);
    assert_eq!(a.frames(), [json!({"identifier": identifier("a"), "message": message(1)})]);
    assert_eq!(b.frames(), [json!({"identifier": identifier("b"), "message": message(1)})]);
    assert!(c.frames().is_empty());
    assert_eq!(stage.publish(publication(2, &["nobody"])), 0);
    assert_eq!(stage.publish(publication(3, &[])), 0);
}

#[tokio::test(start_paused = true)]
async fn one_socket_with_two_subscriptions_hears_it_on_both() {
    let stage = Stage::new();
    stage.allow("a", &["account"]);
    stage.allow("b", &["account"]);
    let mut socket = stage.subscriber("a").await;
    socket.subscribe("b").await;
    assert_eq!(socket.frames(), [confirmed("b")]);
    stage.publish(publication(1, &["account"]));
    let identifiers: Vec<_> =
        socket.frames().into_iter().map(|frame| frame["identifier"].clone()).collect();
    assert_eq!(identifiers, [json!(identifier("a")), json!(identifier("b"))]);
}

#[tokio::test(start_paused = true)]
async fn the_excepted_party_is_left_out() {
    let stage = Stage::new();
    stage.allow("a", &["account"]);
    stage.allow("b", &["account"]);
    let mut a = stage.subscriber("a").await;
    let mut b = stage.subscriber("b").await;
    let mut typing = publication(0, &["account", "a", "b"]);
    typing.except = Some("a".into());
    assert_eq!(stage.publish(typing), 1);
    assert!(a.frames().is_empty());
    assert_eq!(b.messages(), [message(0)]);
}

#[tokio::test(start_paused = true)]
async fn repeats_are_dropped_by_id_and_only_stored_ones() {
    let stage = Stage::new();
    stage.allow("a", &[]);
    let mut a = stage.subscriber("a").await;
    stage.publish(publication(1, &["a"]));
    assert_eq!(stage.deliver(publication(1, &["a"])), 0);
    stage.publish(publication(0, &["a"]));
    stage.publish(publication(0, &["a"]));
    assert_eq!(a.messages(), [message(1), message(0), message(0)]);
}

#[tokio::test(start_paused = true)]
async fn positions_are_told_in_the_extended_protocol_only() {
    let stage = Stage::new();
    stage.allow("a", &[]);
    let mut plain = stage.subscriber("a").await;
    let mut extended = stage.connect(Protocol::V1ExtJson);
    extended.subscribe("a").await;
    extended.frames();
    stage.publish(publication(7, &["a"]));
    stage.publish(publication(0, &["a"]));
    assert_eq!(plain.frames()[0], json!({"identifier": identifier("a"), "message": message(7)}));
    let frames = extended.frames();
    assert_eq!(frames[0]["offset"], 7);
    assert_eq!(frames[0]["epoch"], EPOCH);
    // The first bytes of SHA-256 of the identifier: clients keep it over restarts.
    assert_eq!(frames[0]["stream_id"], "1cc07f69ce0db45d860797f1");
    assert_eq!(
        frames[1],
        json!({"identifier": identifier("a"), "message": message(0)}),
        "what is not stored has no position"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_sent_away_without_harm_to_others() {
    let mut config = HubConfig::new(EPOCH, clock());
    config.queue_frames = 4;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("slow", &["account"]);
    stage.allow("fast", &["account"]);
    let mut slow = stage.subscriber("slow").await;
    let mut fast = stage.subscriber("fast").await;
    for id in 1..=4 {
        assert_eq!(stage.publish(publication(id, &["account"])), 2);
        assert_eq!(fast.messages(), [message(id)]);
    }
    assert_eq!(stage.publish(publication(5, &["account"])), 1, "one frame too many");
    assert_eq!(stage.publish(publication(6, &["account"])), 1);
    assert_eq!(fast.messages(), [message(5), message(6)]);
    assert_eq!(
        slow.frames(),
        [
            json!({"type": "disconnect", "reason": "slow_consumer", "reconnect": true}),
            json!({"close": 1013, "reason": "slow_consumer"}),
        ]
    );
    slow.subscribe("fast").await;
    assert!(slow.frames().is_empty(), "nothing follows the close frame");
    drop(slow);
    assert_eq!(stage.hub.sockets(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_socket_is_pinged_each_three_seconds() {
    let stage = Stage::new();
    let mut sockets: Vec<_> = (0..40).map(|_| stage.socket()).collect();
    let ping = json!({"type": "ping", "message": NOW / 1_000_000});
    // The pinger's first turn.
    tokio::time::sleep(Duration::from_millis(2950)).await;
    for socket in &mut sockets {
        assert_eq!(socket.everything(), std::slice::from_ref(&ping), "the first within 3 s");
    }
    let mut at_once = 0;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let pinged = sockets.iter_mut().map(Socket::everything).filter(|frames| match &**frames {
            [] => false,
            [frame] => *frame == ping,
            more => panic!("{more:?} within 100 ms"),
        });
        at_once = at_once.max(pinged.count());
    }
    assert!(at_once <= 2, "{at_once} of 40 sockets woke in the same tick of 30");
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_pile_up_and_a_dead_peer_is_given_up() {
    let stage = Stage::new();
    let mut socket = stage.socket();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(socket.everything().len(), 1, "one ping waits, not nine");
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(socket.everything().len(), 1, "the count starts again when one is taken");
    tokio::time::sleep(Duration::from_secs(34)).await;
    assert_eq!(socket.everything().last().unwrap()["close"], 1013);
}
