//! What operations sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use chatwarden_cable::{HubConfig, InProcess};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use crate::stage::{EPOCH, NOW, Stage, clock, publication};

/// Name with labels → values.
fn read(snapshotter: &Snapshotter) -> BTreeMap<String, Vec<f64>> {
    let one = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let key = key.key();
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let values = match value {
            DebugValue::Counter(count) => vec![count as f64],
            DebugValue::Gauge(level) => vec![level.into_inner()],
            DebugValue::Histogram(samples) => {
                samples.into_iter().map(|one| one.into_inner()).collect()
            }
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), values)
    };
    snapshotter.snapshot().into_vec().into_iter().map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn sockets_frames_and_fan_out_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _here = metrics::set_default_local_recorder(&recorder);

    let mut config = HubConfig::new(EPOCH, clock());
    config.queue_frames = 2;
    let stage = Stage::with(config, Arc::new(InProcess::new()));
    stage.allow("t", &[]);

    let mut subscriber = stage.subscriber("t").await;
    let mut refused = stage.socket();
    refused.subscribe("x").await;
    let abandoned = stage.socket();
    check(
        &snapshotter,
        &[
            ("chatwoot.websocket.connections{kind=agent,outcome=accepted}", 1.0),
            ("chatwoot.websocket.connections{kind=unknown,outcome=refused}", 1.0),
            ("chatwoot.websocket.connections.active{kind=agent}", 1.0),
            ("chatwoot.websocket.connections.active{kind=unknown}", 2.0),
            ("chatwoot.websocket.frames{direction=in}", 2.0),
            // Three welcomes and one confirmation.
            ("chatwoot.websocket.frames{direction=out}", 4.0),
        ],
    );

    let mut committed = publication(1, &["t"]);
    committed.at = NOW - 250_000;
    stage.publish(committed.clone());
    stage.publish(committed);
    subscriber.frames();
    for id in 2..=4 {
        stage.publish(publication(id, &["t"]));
    }
    refused.connection.peer_closed(Some(4999));
    drop((subscriber, refused, abandoned));

    check(
        &snapshotter,
        &[
            ("chatwoot.websocket.connections{kind=agent,outcome=accepted}", 0.0),
            ("chatwoot.websocket.connections{kind=unknown,outcome=abandoned}", 1.0),
            ("chatwoot.websocket.connections.active{kind=agent}", -1.0),
            ("chatwoot.websocket.connections.active{kind=unknown}", -2.0),
            ("chatwoot.websocket.closed{code=1013}", 1.0),
            ("chatwoot.websocket.closed{code=other}", 1.0),
            ("chatwoot.websocket.closed{code=1006}", 1.0),
            ("chatwoot.websocket.frames{direction=out}", 1.0),
            ("chatwoot.cable.repeats{}", 1.0),
            ("chatwoot.message.fanout{audience=agent}", 0.25),
        ],
    );
}

/// What changed since the last look, gauges too.
#[track_caller]
fn check(snapshotter: &Snapshotter, expected: &[(&str, f64)]) {
    let seen = read(snapshotter);
    for (meter, value) in expected {
        assert_eq!(seen[*meter], [*value], "{meter}");
    }
}
