//! Several nodes on one bus.

use std::sync::Arc;

use chatwarden_cable::{Bus, BusState, HubConfig, Link, Refusal, Signal};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::stage::{EPOCH, Stage, clock, message, publication, rejected, settle};

/// A bus to one other node, without a network.
struct Wire {
    to: mpsc::Sender<Signal>,
    state: watch::Sender<BusState>,
}

impl Bus for Wire {
    fn send(&self, signal: &Signal) {
        self.to.try_send(signal.clone()).unwrap();
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.state.subscribe()
    }
}

struct Pair {
    here: Stage,
    there: Stage,
    /// The state of the bus of `there`.
    state: watch::Sender<BusState>,
}

fn pair() -> Pair {
    let node = |to| {
        let state = watch::Sender::new(BusState { link: Link::Up, gaps: 0 });
        let wire = Wire { to, state: state.clone() };
        (Stage::with(HubConfig::new(EPOCH, clock()), Arc::new(wire)), state)
    };
    let (to_there, from_here) = mpsc::channel(64);
    let (to_here, from_there) = mpsc::channel(64);
    let ((here, _), (there, state)) = (node(to_there), node(to_here));
    here.tasks.spawn(Arc::clone(&here.hub).listen(from_there));
    there.tasks.spawn(Arc::clone(&there.hub).listen(from_here));
    Pair { here, there, state }
}

#[tokio::test(start_paused = true)]
async fn a_publication_reaches_the_other_node_once() {
    let Pair { here, there, .. } = pair();
    here.allow("t", &[]);
    there.allow("t", &[]);
    let mut a = here.subscriber("t").await;
    let mut b = there.subscriber("t").await;
    assert_eq!(here.publish(publication(1, &["t"])), 1);
    settle().await;
    // The tail of the database finds it as well.
    here.deliver(publication(1, &["t"]));
    there.deliver(publication(1, &["t"]));
    assert_eq!(a.messages(), [message(1)]);
    assert_eq!(b.messages(), [message(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_reaches_the_other_node() {
    let Pair { here, there, .. } = pair();
    there.allow("t", &[]);
    let mut b = there.subscriber("t").await;
    there.refuse("t", Refusal::Denied);
    here.refresh("t");
    settle().await;
    assert_eq!(b.frames(), [rejected("t")]);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_everything_is_asked_again() {
    let Pair { there, state, .. } = pair();
    there.allow("t", &["account"]);
    there.allow("u", &["account"]);
    let mut t = there.subscriber("t").await;
    let mut u = there.subscriber("u").await;
    there.refuse("t", Refusal::Denied);
    state.send_modify(|state| state.link = Link::Down { since: 1 });
    settle().await;
    assert_eq!(there.decisions(), 2, "not while the link is down");
    state.send_modify(|state| *state = BusState { link: Link::Up, gaps: 1 });
    settle().await;
    assert_eq!(t.frames(), [rejected("t")]);
    there.deliver(publication(1, &["account"]));
    assert!(t.frames().is_empty());
    assert_eq!(u.messages(), [json!({"event": "e", "data": {"id": 1}})]);
}
