//! The state machine of one socket.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::channel::{Channels, Refusal, Since};
use crate::hub::Hub;
use crate::meters;
use crate::protocol::{Command, DisconnectReason, HistoryRequest, Notice, Protocol, about};
use crate::queue::{Item, Queue};
use crate::subscription::Subscription;

/// Kind of a socket before its first accepted subscription.
const UNKNOWN: &str = "unknown";
/// Frames that a socket may send at once; each costs what the HTTP interface limits as a request.
const BURST: u32 = 60;
/// How long it takes to earn another one.
const EARNS: Duration = Duration::from_millis(200);
/// Frames charged besides for a history, which is looked for in all of the account's log.
const HISTORY: u32 = 10;
/// Subscriptions refused in a row, after which the socket is closed: no client of ours asks for so many.
const REFUSALS: u32 = 20;

/// One socket: takes what the client sends; what is to be written comes out of the
/// [`crate::Outbox`] made with it. Dropping it ends its subscriptions.
pub struct Connection {
    hub: Arc<Hub>,
    id: u64,
    protocol: Protocol,
    channels: Arc<Channels>,
    queue: Arc<Queue>,
    subscriptions: Vec<Arc<Subscription>>,
    kind: &'static str,
    /// The first decision was counted.
    counted: bool,
    refused: u32,
    limited: bool,
    /// When all that was sent is paid for, at a frame for each [`EARNS`].
    paid_at: Instant,
    peer_code: Option<u16>,
}

impl Connection {
    pub(crate) fn new(
        hub: Arc<Hub>,
        id: u64,
        protocol: Protocol,
        channels: Arc<Channels>,
        queue: Arc<Queue>,
    ) -> Self {
        meters::active(UNKNOWN, 1.0);
        Self {
            hub,
            id,
            protocol,
            channels,
            queue,
            subscriptions: Vec::new(),
            kind: UNKNOWN,
            counted: false,
            refused: 0,
            limited: false,
            paid_at: Instant::now(),
            peer_code: None,
        }
    }

    /// Has the limits of [`crate::Subscribed::at_once`] apply to this socket.
    pub fn limit(&mut self) {
        self.limited = true;
    }

    /// Takes a text frame. Replays wait for room in the outbox, so the outbox must be drained
    /// concurrently ([`crate::serve`] does). Not to be cancelled unless the connection is dropped
    /// as well.
    pub async fn receive(&mut self, text: &str) {
        self.hub.meters().frames_in.increment(1);
        self.hub.meters().bytes_in.increment(text.len() as u64);
        self.pace().await;
        if self.queue.ended() {
            return;
        }
        // Identifiers hold tokens: neither they nor the frame are logged.
        match self.protocol.decode(text) {
            Ok(Command::Subscribe { identifier, history }) => {
                self.subscribe(&identifier, history).await;
            }
            Ok(Command::Unsubscribe { identifier }) => self.unsubscribe(&identifier),
            Ok(Command::Message { identifier, data }) => self.perform(&identifier, &data).await,
            Ok(Command::History { identifier, history }) => match self.find(&identifier) {
                Some(subscription) => {
                    subscription.hold();
                    self.replay(&subscription, &history).await;
                }
                None => tracing::debug!(connection = self.id, "history of an unknown identifier"),
            },
            Ok(Command::Pong) => {}
            Err(malformed) => {
                tracing::debug!(connection = self.id, %malformed, "cable frame ignored");
            }
        }
    }

    /// Waits where the peer sends faster than it may: it is read no faster then.
    async fn pace(&mut self) {
        let now = Instant::now();
        self.paid_at = self.paid_at.max(now) + EARNS;
        let ahead = self.paid_at.duration_since(now).saturating_sub(EARNS * BURST);
        if !ahead.is_zero() {
            tokio::time::sleep(ahead).await;
        }
    }

    /// Notes the code the peer closed with, for the meter.
    pub fn peer_closed(&mut self, code: Option<u16>) {
        // RFC 6455 §7.1.5: 1005 when the close frame held no code.
        self.peer_code.get_or_insert(code.unwrap_or(1005));
    }

    async fn subscribe(&mut self, identifier: &str, history: Option<HistoryRequest>) {
        if self.find(identifier).is_some() {
            return;
        }
        if self.subscriptions.len() >= self.hub.config().max_subscriptions {
            tracing::debug!(connection = self.id, "too many subscriptions");
            return self.reject(identifier);
        }
        let Some((channel, params)) = self.channels.resolve(identifier) else {
            tracing::debug!(connection = self.id, "no such channel");
            return self.reject(identifier);
        };
        let refreshes = self.hub.refreshes();
        let mut accepted = match channel.subscribe(&params).await {
            Ok(accepted) => accepted,
            Err(Refusal::Denied) => return self.reject(identifier),
            Err(Refusal::Unavailable) => return self.queue.close(DisconnectReason::Unavailable),
        };
        let primary = Arc::clone(&accepted.primary);
        if self.limited && self.hub.registry().holding(&primary) >= accepted.at_once {
            tracing::debug!(connection = self.id, kind = accepted.kind, "too many sockets");
            return self.reject(identifier);
        }
        self.count(accepted.kind);
        self.refused = 0;
        let greeting = std::mem::take(&mut accepted.greeting);
        let subscription = Subscription::new(
            self.hub.next_id(),
            identifier,
            accepted,
            channel,
            Arc::clone(&self.queue),
            self.hub.config().queue_frames,
            history.is_some(),
        );
        self.subscriptions.push(Arc::clone(&subscription));
        subscription.open(self.hub.registry(), greeting);
        self.hub.refresh_if_missed(refreshes, &primary);
        if let Some(request) = history {
            self.replay(&subscription, &request).await;
        }
    }

    fn unsubscribe(&mut self, identifier: &str) {
        match self.find(identifier) {
            Some(subscription) => {
                subscription.close(self.hub.registry());
                self.subscriptions.retain(|other| other.id != subscription.id);
            }
            None => tracing::debug!(connection = self.id, "unsubscribe of an unknown identifier"),
        }
    }

    async fn perform(&mut self, identifier: &str, data: &Map<String, Value>) {
        let Some(subscription) = self.find(identifier) else {
            tracing::debug!(connection = self.id, "message for an unknown identifier");
            return;
        };
        let action = data.get("action").and_then(Value::as_str).unwrap_or("receive");
        for message in subscription.subscriber().perform(action, data).await {
            subscription.tell(message);
        }
    }

    /// Shows a subscription on hold what it missed, then lets it go on.
    async fn replay(&mut self, subscription: &Arc<Subscription>, request: &HistoryRequest) {
        self.paid_at += EARNS * HISTORY;
        let mut shown = HashSet::new();
        let past = match self.since(subscription, request) {
            Some(since) => {
                let streams = subscription.streams();
                subscription.subscriber().history(since, &streams).await.ok()
            }
            None => None,
        };
        let notice = if past.is_some() { Notice::ConfirmHistory } else { Notice::RejectHistory };
        for publication in past.unwrap_or_default() {
            // Asked each time: a refresh may end or narrow the subscription meanwhile.
            if !subscription.hears(&publication) {
                continue;
            }
            shown.insert(publication.id);
            let item = Item::Replay(Arc::clone(subscription), publication);
            if !self.queue.push_patiently(item).await {
                return;
            }
        }
        if subscription.is_closed() {
            return;
        }
        self.queue.push_patiently(Item::Text(about(&subscription.identifier, notice))).await;
        subscription.release(&shown).await;
    }

    /// A position of another database says nothing: then the time has to do.
    fn since(&self, subscription: &Subscription, request: &HistoryRequest) -> Option<Since> {
        request
            .streams
            .get(&subscription.stream_id)
            .filter(|at| at.epoch == *self.hub.config().epoch)
            .map(|at| Since::Position(at.offset.max(0)))
            .or(request.since.map(Since::Time))
    }

    fn find(&mut self, identifier: &str) -> Option<Arc<Subscription>> {
        self.subscriptions.retain(|subscription| !subscription.is_closed());
        self.subscriptions.iter().find(|other| &*other.identifier == identifier).cloned()
    }

    fn reject(&mut self, identifier: &str) {
        if !self.counted {
            self.counted = true;
            meters::handshake(UNKNOWN, "refused");
        }
        self.queue.push(Item::Text(about(identifier, Notice::RejectSubscription)));
        self.refused += 1;
        if self.refused >= REFUSALS {
            self.queue.close(DisconnectReason::Unauthorized);
        }
    }

    fn count(&mut self, kind: &'static str) {
        if self.kind == UNKNOWN {
            meters::active(UNKNOWN, -1.0);
            meters::active(kind, 1.0);
            self.kind = kind;
        }
        if !self.counted {
            self.counted = true;
            meters::handshake(kind, "accepted");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for subscription in self.subscriptions.drain(..) {
            subscription.close(self.hub.registry());
        }
        self.hub.forget(self.id);
        meters::active(self.kind, -1.0);
        if !self.counted {
            meters::handshake(UNKNOWN, "abandoned");
        }
        let code = match (self.queue.closed_by_server(), self.peer_code) {
            (Some(reason), _) => reason.close_code(),
            (None, Some(code)) => code,
            // RFC 6455 §7.1.5: nobody sent a close frame.
            (None, None) => 1006,
        };
        meters::closed(code);
    }
}
