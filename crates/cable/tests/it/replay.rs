//! Resuming in the extended protocol: repeats allowed, holes not.

use std::sync::Arc;

use chatwarden_cable::{HubConfig, InProcess, Protocol, Publication, Refusal, Since};
use serde_json::{Value, json};

use crate::stage::{
    EPOCH, Socket, Stage, clock, confirmed, identifier, message, publication, settle,
};

fn history_notice(kind: &str) -> Value {
    json!({"identifier": identifier("t"), "type": kind})
}

fn past(ids: &[i64]) -> Option<Vec<Arc<Publication>>> {
    Some(ids.iter().map(|id| Arc::new(publication(*id, &["t"]))).collect())
}

fn resume(history: Value) -> Value {
    json!({"command": "subscribe", "identifier": identifier("t"), "history": history})
}

fn extended(stage: &Stage) -> Socket {
    let mut socket = stage.connect(Protocol::V1ExtJson);
    assert_eq!(socket.frames()[0]["type"], "welcome");
    socket
}

/// What the server calls the stream of `t`.
async fn stream_id(stage: &Stage) -> String {
    let mut socket = extended(stage);
    socket.send(json!({"command": "subscribe", "identifier": identifier("t")})).await;
    stage.deliver(publication(9_000_000, &["t"]));
    let frames = socket.frames();
    frames.last().unwrap()["stream_id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn from_where_a_request_resumes() {
    let stage = Stage::new();
    stage.allow("t", &["account"]);
    stage.room.rules.lock().past = past(&[]);
    let own = stream_id(&stage).await;
    let at = |stream: &str, offset: i64, epoch: &str| json!({stream: {"offset": offset, "epoch": epoch}});
    for (history, expected) in [
        (json!({"streams": at(&own, 7, EPOCH)}), Some(Since::Position(7))),
        (json!({"since": 5, "streams": at(&own, 7, EPOCH)}), Some(Since::Position(7))),
        (json!({"since": 5, "streams": at(&own, -7, EPOCH)}), Some(Since::Position(0))),
        (json!({"since": 5}), Some(Since::Time(5))),
        (json!({"since": 5, "streams": at(&own, 7, "db0")}), Some(Since::Time(5))),
        (json!({"since": 5, "streams": at("other", 7, EPOCH)}), Some(Since::Time(5))),
        (json!({"streams": at(&own, 7, "db0")}), None),
        (json!({"since": false, "streams": {}}), None),
        (json!({}), None),
        (json!("?"), None),
    ] {
        stage.room.rules.lock().asked.clear();
        let mut socket = extended(&stage);
        socket.send(resume(history.clone())).await;
        let notice = if expected.is_some() { "confirm_history" } else { "reject_history" };
        assert_eq!(socket.frames(), [confirmed("t"), history_notice(notice)], "{history}");
        let streams: Vec<Arc<str>> = vec!["t".into(), "account".into()];
        let asked: Vec<_> = expected.map(|since| (since, streams)).into_iter().collect();
        assert_eq!(stage.room.rules.lock().asked, asked, "{history}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_between_the_confirmations() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut foreign = publication(4, &["other"]);
    let mut own_typing = publication(5, &["t"]);
    own_typing.except = Some("t".into());
    foreign.at = 1;
    stage.room.rules.lock().past = Some(vec![
        Arc::new(publication(3, &["t"])),
        Arc::new(foreign),
        Arc::new(own_typing),
        Arc::new(publication(2, &["x", "t"])),
    ]);
    let mut socket = extended(&stage);
    socket.send(resume(json!({"since": 1}))).await;
    let frames = socket.frames();
    assert_eq!(frames[0], confirmed("t"));
    assert_eq!((&frames[1]["message"], &frames[1]["offset"]), (&message(3), &json!(3)));
    assert_eq!((&frames[2]["message"], &frames[2]["offset"]), (&message(2), &json!(2)));
    assert_eq!(frames[3..], [history_notice("confirm_history")]);
}

/// A frame that overtook the replay would be the position the client resumes from if the replay
/// broke off: what is between would be lost.
#[tokio::test(start_paused = true)]
async fn nothing_new_overtakes_a_replay() {
    for command in ["subscribe", "history"] {
        let stage = Stage::new();
        stage.allow("t", &[]);
        stage.room.rules.lock().past = past(&[1, 2, 3]);
        let mut socket = extended(&stage);
        if command == "history" {
            socket.subscribe("t").await;
        }
        stage.room.gate.forget_permits(usize::MAX);
        // The decision may go on, the look into the history waits.
        stage.room.gate.add_permits(usize::from(command == "subscribe"));
        {
            let mut resume = resume(json!({"since": 1}));
            resume["command"] = command.into();
            let resuming = socket.send(resume);
            tokio::pin!(resuming);
            assert!(futures::poll!(&mut resuming).is_pending());
            assert_eq!(stage.publish(publication(3, &["t"])), 1);
            assert_eq!(stage.publish(publication(4, &["t"])), 1);
            stage.room.gate.add_permits(1);
            resuming.await;
        }
        stage.publish(publication(5, &["t"]));
        let offsets: Vec<_> =
            socket.frames().iter().filter_map(|frame| frame["offset"].as_i64()).collect();
        assert_eq!(offsets, [1, 2, 3, 4, 5], "{command}: in order, and 3 once");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_history_is_said_and_the_subscription_lives() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    let mut socket = extended(&stage);
    socket.send(resume(json!({"since": 1}))).await;
    assert_eq!(socket.frames(), [confirmed("t"), history_notice("reject_history")]);
    stage.publish(publication(1, &["t"]));
    assert_eq!(socket.messages(), [message(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_live_subscription_may_ask_for_history() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    stage.room.rules.lock().past = past(&[1, 2]);
    let mut socket = extended(&stage);
    socket.send(json!({"command": "subscribe", "identifier": identifier("t")})).await;
    assert_eq!(socket.frames(), [confirmed("t")]);
    let ask = |identifier: String| json!({"command": "history", "identifier": identifier, "history": {"since": 1}});
    socket.send(ask(identifier("t"))).await;
    let frames = socket.frames();
    assert_eq!(frames[0]["message"], message(1));
    assert_eq!(frames[1]["message"], message(2));
    assert_eq!(frames[2..], [history_notice("confirm_history")]);
    socket.send(ask(identifier("u"))).await;
    socket.send(json!({"command": "pong"})).await;
    assert!(socket.frames().is_empty());
    stage.publish(publication(3, &["t"]));
    assert_eq!(socket.messages(), [message(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_long_replay_waits_for_its_reader() {
    let mut config = HubConfig::new(EPOCH, clock());
    config.queue_frames = 8;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("t", &[]);
    let ids: Vec<i64> = (1..=100).collect();
    stage.room.rules.lock().past = past(&ids);
    let Socket { mut connection, mut outbox } = extended(&stage);
    let command = resume(json!({"since": 1})).to_string();
    let mut offsets = Vec::new();
    let read = async {
        while offsets.len() < ids.len() {
            let frame = crate::stage::show(outbox.recv().await.unwrap());
            offsets.extend(frame["offset"].as_i64());
        }
    };
    futures::join!(connection.receive(&command), read);
    assert_eq!(offsets, ids, "and the reader was not sent away");
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_waits_for_its_reader_too() {
    let mut config = HubConfig::new(EPOCH, clock());
    config.queue_frames = 8;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("t", &[]);
    stage.room.rules.lock().past = past(&[1, 2, 3, 4]);
    let Socket { mut connection, mut outbox } = extended(&stage);
    // The decision may go on, the look into the history waits.
    stage.room.gate.forget_permits(usize::MAX);
    stage.room.gate.add_permits(1);
    let command = resume(json!({"since": 1})).to_string();
    let resuming = connection.receive(&command);
    tokio::pin!(resuming);
    assert!(futures::poll!(&mut resuming).is_pending());
    (5..13).for_each(|id| {
        stage.publish(publication(id, &["t"]));
    });
    stage.room.gate.add_permits(1);
    let mut offsets = Vec::new();
    let read = async {
        while offsets.last() != Some(&12) {
            let frame = crate::stage::show(outbox.recv().await.expect("an open socket"));
            offsets.extend(frame["offset"].as_i64());
        }
    };
    futures::join!(resuming, read);
    assert_eq!(offsets, (1..13).collect::<Vec<i64>>());
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_with_its_socket() {
    let mut config = HubConfig::new(EPOCH, clock());
    config.queue_frames = 4;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("t", &[]);
    stage.room.rules.lock().past = past(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let mut socket = extended(&stage);
    let command = resume(json!({"since": 1})).to_string();
    {
        let resuming = socket.connection.receive(&command);
        tokio::pin!(resuming);
        assert!(futures::poll!(&mut resuming).is_pending(), "nobody reads");
        // More than may be held back while the replay waits.
        for id in 11..=15 {
            stage.publish(publication(id, &["t"]));
        }
        resuming.await;
    }
    settle().await;
    assert_eq!(socket.frames().last().unwrap()["close"], 1013);
}

#[tokio::test(start_paused = true)]
async fn a_replay_shows_nothing_that_is_no_longer_allowed() {
    let stage = Stage::new();
    stage.allow("t", &[]);
    stage.room.rules.lock().past = past(&[1, 2]);
    let mut socket = extended(&stage);
    stage.room.gate.forget_permits(usize::MAX);
    stage.room.gate.add_permits(1);
    {
        let resuming = socket.send(resume(json!({"since": 1})));
        tokio::pin!(resuming);
        assert!(futures::poll!(&mut resuming).is_pending(), "looking into the history");
        stage.refuse("t", Refusal::Denied);
        stage.refresh("t");
        // One for the look, which goes on after the refresh, and one for the refresh.
        stage.room.gate.add_permits(2);
        settle().await;
        resuming.await;
    }
    assert_eq!(socket.frames(), [confirmed("t"), crate::stage::rejected("t")]);
}
