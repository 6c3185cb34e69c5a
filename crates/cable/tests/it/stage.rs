//! A hub with one channel whose rules a test sets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatwarden_cable::{
    Bus, Channel, Channels, Clock, Connection, HistoryLost, Hub, HubConfig, InProcess, Outbox,
    Outgoing, Protocol, Publication, Refusal, Signal, Since, Subscribed, Subscriber,
};
use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub const EPOCH: &str = "db1";

/// 2023-11-14T22:13:20Z, in microseconds.
pub const NOW: i64 = 1_700_000_000_000_000;

pub fn clock() -> Clock {
    Arc::new(|| NOW)
}

/// What the channel answers.
#[derive(Default)]
pub struct Rules {
    /// Token → the streams beside the token itself; no entry: denied.
    pub streams: HashMap<String, Result<Vec<Arc<str>>, Refusal>>,
    pub past: Option<Vec<Arc<Publication>>>,
    pub asked: Vec<(Since, Vec<Arc<str>>)>,
    pub greeting: Vec<Arc<str>>,
}

pub struct Room {
    pub rules: Mutex<Rules>,
    pub decisions: AtomicUsize,
    /// A permit lets one decision, or one look into the history, go on.
    pub gate: Semaphore,
}

struct RoomChannel(Arc<Room>);

#[async_trait::async_trait]
impl Channel for RoomChannel {
    async fn subscribe(&self, params: &Map<String, Value>) -> Result<Subscribed, Refusal> {
        let token = params.get("token").and_then(Value::as_str).ok_or(Refusal::Denied)?;
        // Decided first, then held up: what a change may overtake is an answer already read.
        let (streams, greeting) = {
            let rules = self.0.rules.lock();
            let streams = rules.streams.get(token).cloned().unwrap_or(Err(Refusal::Denied));
            (streams, rules.greeting.clone())
        };
        self.0.decisions.fetch_add(1, Ordering::SeqCst);
        self.0.gate.acquire().await.unwrap().forget();
        Ok(Subscribed {
            primary: token.into(),
            streams: streams?,
            kind: "agent",
            at_once: 2,
            greeting,
            subscriber: Arc::new(Member(Arc::clone(&self.0))),
        })
    }
}

struct Member(Arc<Room>);

#[async_trait::async_trait]
impl Subscriber for Member {
    async fn perform(&self, action: &str, data: &Map<String, Value>) -> Vec<Arc<str>> {
        match action {
            "echo" => vec![data.get("text").cloned().unwrap_or_default().to_string().into()],
            _ => Vec::new(),
        }
    }

    async fn history(
        &self,
        since: Since,
        streams: &[Arc<str>],
    ) -> Result<Vec<Arc<Publication>>, HistoryLost> {
        let past = {
            let mut rules = self.0.rules.lock();
            rules.asked.push((since, streams.to_vec()));
            rules.past.clone()
        };
        self.0.gate.acquire().await.unwrap().forget();
        past.ok_or(HistoryLost)
    }
}

pub struct Stage {
    pub hub: Arc<Hub>,
    pub room: Arc<Room>,
    pub channels: Arc<Channels>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(HubConfig::new(EPOCH, clock()), Arc::new(InProcess::new()))
    }

    pub fn with(config: HubConfig, bus: Arc<dyn Bus>) -> Self {
        let room = Arc::new(Room {
            rules: Mutex::default(),
            decisions: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let channels = Channels::new().with("Room", Arc::new(RoomChannel(Arc::clone(&room))));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let hub = Hub::start(config, bus, &tasks, &stop);
        Self { hub, room, channels: Arc::new(channels), tasks, stop }
    }

    pub fn allow(&self, token: &str, streams: &[&str]) {
        let streams = streams.iter().map(|stream| Arc::from(*stream)).collect();
        self.room.rules.lock().streams.insert(token.into(), Ok(streams));
    }

    pub fn refuse(&self, token: &str, refusal: Refusal) {
        self.room.rules.lock().streams.insert(token.into(), Err(refusal));
    }

    /// A commit of this node: how many subscriptions hear of it here.
    pub fn publish(&self, publication: Publication) -> usize {
        self.hub.tell(Signal::Publication(Arc::new(publication)))
    }

    /// A commit of this node that changes what `token` may hear.
    pub fn refresh(&self, token: &str) {
        self.hub.tell(Signal::Refresh(token.into()));
    }

    /// What the tail of the database finds.
    pub fn deliver(&self, publication: Publication) -> usize {
        self.hub.receive(Signal::Publication(Arc::new(publication)))
    }

    pub fn connect(&self, protocol: Protocol) -> Socket {
        let (connection, outbox) = self.hub.connect(protocol, Arc::clone(&self.channels));
        Socket { connection, outbox }
    }

    /// A socket with its welcome read.
    pub fn socket(&self) -> Socket {
        let mut socket = self.connect(Protocol::V1Json);
        assert_eq!(socket.frames(), [json!({"type": "welcome"})]);
        socket
    }

    /// A socket with one confirmed subscription.
    pub async fn subscriber(&self, token: &str) -> Socket {
        let mut socket = self.socket();
        socket.subscribe(token).await;
        assert_eq!(socket.frames(), [confirmed(token)]);
        socket
    }

    pub fn decisions(&self) -> usize {
        self.room.decisions.load(Ordering::SeqCst)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Lets all tasks run until they wait; only with a paused clock.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub struct Socket {
    pub connection: Connection,
    pub outbox: Outbox,
}

impl Socket {
    pub async fn send(&mut self, command: Value) {
        self.connection.receive(&command.to_string()).await;
    }

    pub async fn subscribe(&mut self, token: &str) {
        self.send(json!({"command": "subscribe", "identifier": identifier(token)})).await;
    }

    /// What is waiting to be written, without pings.
    pub fn frames(&mut self) -> Vec<Value> {
        let mut frames = self.everything();
        frames.retain(|frame| frame["type"] != "ping");
        frames
    }

    pub fn everything(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(Some(frame)) = self.outbox.recv().now_or_never() {
            frames.push(show(frame));
        }
        frames
    }

    /// The messages among the frames.
    pub fn messages(&mut self) -> Vec<Value> {
        self.frames().into_iter().map(|frame| frame["message"].clone()).collect()
    }
}

pub fn show(frame: Outgoing) -> Value {
    match frame {
        Outgoing::Text(text) => serde_json::from_str(&text).unwrap(),
        Outgoing::Close { code, reason } => json!({"close": code, "reason": reason}),
    }
}

pub fn identifier(token: &str) -> String {
    format!(r#"{{"channel":"Room","token":"{token}"}}"#)
}

pub fn confirmed(token: &str) -> Value {
    json!({"identifier": identifier(token), "type": "confirm_subscription"})
}

pub fn rejected(token: &str) -> Value {
    json!({"identifier": identifier(token), "type": "reject_subscription"})
}

pub fn publication(id: i64, streams: &[&str]) -> Publication {
    Publication {
        id,
        at: 0,
        streams: streams.iter().map(|stream| Arc::from(*stream)).collect(),
        except: None,
        message: json!({"event": "e", "data": {"id": id}}).to_string().into(),
    }
}

pub fn message(id: i64) -> Value {
    json!({"event": "e", "data": {"id": id}})
}
