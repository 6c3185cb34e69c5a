//! The state machine: subscribe, unsubscribe, message, refusal, refresh.

use std::sync::Arc;

use chatwarden_cable::{HubConfig, InProcess, Protocol, Refusal};
use serde_json::json;

use crate::stage::{
    EPOCH, Stage, clock, confirmed, identifier, message, publication, rejected, settle,
};

#[tokio::test(start_paused = true)]
async fn a_subscription_is_confirmed_then_greeted() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    stage.room.rules.lock().greeting = vec![r#"{"event":"hello"}"#.into()];
    let mut socket = stage.socket();
    socket.subscribe("t").await;
    assert_eq!(
        socket.frames(),
        [confirmed("t"), json!({"identifier": identifier("t"), "message": {"event": "hello"}})]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_subscribe_is_ignored() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut socket = stage.subscriber("t").await;
    socket.subscribe("t").await;
    assert!(socket.frames().is_empty());
    assert_eq!(stage.decisions(), 1);
    stage.publish(publication(1, &["t"]));
    assert_eq!(socket.messages(), [message(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_identifier_is_forgotten() {
    let stage = Stage::new();
    let mut socket = stage.socket();
    socket.subscribe("t").await;
    assert_eq!(socket.frames(), [rejected("t")]);
    stage.allow("t", &[]);
    socket.subscribe("t").await;
    assert_eq!(socket.frames(), [confirmed("t")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_is_sent_away() {
    let stage = Stage::new();
    let mut socket = stage.socket();
    for guess in 0..100 {
        socket.subscribe(&format!("guess {guess}")).await;
    }
    assert_eq!(stage.decisions(), 20);
    assert_eq!(socket.frames().last(), Some(&json!({"close": 1008, "reason": "unauthorized"})),);
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_read_no_faster_than_it_may_send() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut socket = stage.subscriber("t").await;
    let began = tokio::time::Instant::now();
    for _ in 0..59 {
        socket.subscribe("t").await;
    }
    assert!(began.elapsed().is_zero(), "{:?}", began.elapsed());
    for _ in 0..50 {
        socket.subscribe("t").await;
    }
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_subscription_is_rejected() {
    let stage = Stage::new();
    for identifier in [
        r#"{"channel":"Other"}"#,
        r#"{"channel":7}"#,
        r#"{"token":"t"}"#,
        r#"{"channel":"Room"}"#,
        "[]",
        "no json",
        "",
    ] {
        let mut socket = stage.socket();
        socket.send(json!({"command": "subscribe", "identifier": identifier})).await;
        let expected = json!({"identifier": identifier, "type": "reject_subscription"});
        assert_eq!(socket.frames(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_has_a_limit_of_subscriptions() {
    let mut config = HubConfig::new(EPOCH, clock());
    config.max_subscriptions = 1;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("a", &[]);
    stage.allow("b", &[]);
    let mut socket = stage.subscriber("a").await;
    socket.subscribe("b").await;
    assert_eq!(socket.frames(), [rejected("b")]);
    socket.send(json!({"command": "unsubscribe", "identifier": identifier("a")})).await;
    socket.subscribe("b").await;
    assert_eq!(socket.frames(), [confirmed("b")]);
}

#[tokio::test(start_paused = true)]
async fn an_undecided_subscription_sends_the_client_round_again() {
    let stage = Stage::new();
    stage.refuse("t", Refusal::Unavailable);
    let mut socket = stage.socket();
    socket.subscribe("t").await;
    assert_eq!(
        socket.frames(),
        [
            json!({"type": "disconnect", "reason": "unavailable", "reconnect": true}),
            json!({"close": 1013, "reason": "unavailable"}),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_is_silent_and_final() {
    let stage = Stage::new();
    stage.allow("a", &["account"]);
    stage.allow("b", &["account"]);
    let mut socket = stage.subscriber("a").await;
    socket.subscribe("b").await;
    assert_eq!(socket.frames(), [confirmed("b")]);
    socket.send(json!({"command": "unsubscribe", "identifier": identifier("a")})).await;
    assert!(socket.frames().is_empty());
    stage.publish(publication(1, &["a"]));
    stage.publish(publication(2, &["account"]));
    assert_eq!(
        socket.frames(),
        [json!({"identifier": identifier("b"), "message": message(2)})],
        "the other subscription goes on"
    );
    socket.subscribe("a").await;
    assert_eq!(socket.frames(), [confirmed("a")], "it may come back");
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_its_subscription_and_answers_it_alone() {
    let stage = Stage::new();
    stage.allow("a", &["account"]);
    let mut other = stage.subscriber("a").await;
    let mut socket = stage.subscriber("a").await;
    let say = |identifier: String, data: &str| json!({"command": "message", "identifier": identifier, "data": data});
    socket.send(say(identifier("a"), r#"{"action":"echo","text":"hi"}"#)).await;
    assert_eq!(socket.frames(), [json!({"identifier": identifier("a"), "message": "hi"})]);
    for ignored in [
        say(identifier("a"), r#"{"action":"unknown"}"#),
        say(identifier("a"), r#"{"no":"action"}"#),
        say(identifier("a"), r#"{"action":7}"#),
        say(identifier("b"), r#"{"action":"echo","text":"hi"}"#),
        say(identifier("a"), "broken"),
        json!({"command": "dance", "identifier": identifier("a")}),
        json!({"command": "unsubscribe", "identifier": "unknown"}),
        json!([]),
    ] {
        socket.send(ignored.clone()).await;
        assert!(socket.frames().is_empty(), "{ignored}");
    }
    assert!(other.frames().is_empty());
    stage.publish(publication(1, &["a"]));
    assert_eq!(socket.messages(), [message(1)], "the socket is still open");
}

#[tokio::test(start_paused = true)]
async fn somebody_has_so_many_limited_sockets_at_once() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    stage.allow("other", &[]);
    let mut sockets: Vec<_> = (0..3).map(|_| stage.socket()).collect();
    for (socket, expected) in sockets.iter_mut().zip([confirmed, confirmed, rejected]) {
        socket.connection.limit();
        socket.subscribe("t").await;
        assert_eq!(socket.frames(), [expected("t")]);
    }
    let mut third = sockets.pop().unwrap();
    third.subscribe("other").await;
    assert_eq!(third.frames(), [confirmed("other")]);
    drop(stage.subscriber("t").await);
    drop(sockets.pop());
    third.subscribe("t").await;
    assert_eq!(third.frames(), [confirmed("t")]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_replaces_the_streams() {
    let stage = Stage::new();
    stage.allow("t", &["one", "two"]);
    stage.room.rules.lock().greeting = vec!["1".into()];
    let mut socket = stage.socket();
    socket.subscribe("t").await;
    assert_eq!(socket.frames().len(), 2);
    stage.allow("t", &["two", "three"]);
    stage.refresh("t");
    settle().await;
    for (id, stream) in [(1, "one"), (2, "two"), (3, "three"), (4, "t")] {
        stage.publish(publication(id, &[stream]));
    }
    assert_eq!(socket.messages(), [message(2), message(3), message(4)], "and does not greet");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_what_is_no_longer_allowed() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    stage.allow("u", &["account"]);
    let mut socket = stage.subscriber("t").await;
    socket.subscribe("u").await;
    assert_eq!(socket.frames(), [confirmed("u")]);
    stage.refuse("t", Refusal::Denied);
    stage.refresh("t");
    settle().await;
    assert_eq!(socket.frames(), [rejected("t")]);
    stage.publish(publication(1, &["t", "account"]));
    assert_eq!(
        socket.frames(),
        [json!({"identifier": identifier("u"), "message": message(1)})],
        "the other subscription of the socket stays"
    );
    stage.allow("t", &[]);
    socket.subscribe("t").await;
    assert_eq!(socket.frames(), [confirmed("t")], "the identifier is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_cannot_be_decided_ends_the_socket() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut socket = stage.subscriber("t").await;
    stage.refuse("t", Refusal::Unavailable);
    stage.refresh("t");
    settle().await;
    assert_eq!(socket.frames().last(), Some(&json!({"close": 1013, "reason": "unavailable"})));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_others_asks_nobody() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    let _socket = stage.subscriber("t").await;
    stage.refresh("account");
    stage.refresh("nobody");
    settle().await;
    assert_eq!(stage.decisions(), 1);
}

/// The decision is read, the membership ends, the refresh finds nobody, the subscription appears.
#[tokio::test(start_paused = true)]
async fn a_refresh_during_the_decision_is_not_missed() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    let mut socket = stage.socket();
    stage.room.gate.forget_permits(usize::MAX);
    {
        let subscribing = socket.subscribe("t");
        tokio::pin!(subscribing);
        assert!(futures::poll!(&mut subscribing).is_pending());
        assert_eq!(stage.decisions(), 1);
        stage.refuse("t", Refusal::Denied);
        stage.refresh("t");
        settle().await;
        assert_eq!(stage.decisions(), 1, "there is nothing to refresh yet");
        stage.room.gate.add_permits(2);
        subscribing.await;
    }
    settle().await;
    assert_eq!(socket.frames(), [confirmed("t"), rejected("t")]);
    stage.publish(publication(1, &["account"]));
    assert!(socket.frames().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_leaves_nothing_behind() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    let socket = stage.subscriber("t").await;
    assert_eq!(stage.hub.sockets(), 1);
    drop(socket);
    assert_eq!(stage.hub.sockets(), 0);
    assert_eq!(stage.publish(publication(1, &["t", "account"])), 0);
}

#[tokio::test(start_paused = true)]
async fn the_extended_protocol_names_its_session() {
    let stage = Stage::new();
    let mut one = stage.connect(Protocol::V1ExtJson);
    let mut two = stage.connect(Protocol::V1ExtJson);
    let (one, two) = (one.frames(), two.frames());
    assert_eq!(one[0]["type"], "welcome");
    assert!(one[0]["sid"].as_str().is_some_and(|sid| !sid.is_empty()));
    assert_ne!(one[0]["sid"], two[0]["sid"]);
}
