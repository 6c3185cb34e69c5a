//! The bus over Redis publish/subscribe: one channel, every node hears everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use metrics::counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Bus, BusState, Link};
use crate::hub::Clock;
use crate::meters;
use crate::publication::{Publication, Signal};

/// Signals waiting to be sent; more are dropped and made up for with [`Signal::CatchUp`].
const OUTGOING: usize = 4096;
/// Signals waiting to be delivered; more are dropped and count as a gap.
const INCOMING: usize = 8192;
/// Signals of one round trip.
const BATCH: usize = 64;
/// A dead link is found within twice this time.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Pause between attempts to get the link back.
const RETRY: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes unacknowledged for this long end a connection (`TCP_USER_TIMEOUT`).
#[cfg(target_os = "linux")]
const DEAD_PEER: Duration = Duration::from_secs(5);

/// What a Redis bus needs to know.
#[derive(Clone)]
pub struct RedisBusConfig {
    /// `redis://` or `rediss://` (TLS; needs an installed rustls provider).
    pub url: String,
    /// Prefix of the channel name: installations can share a Redis.
    pub prefix: String,
    /// Names this node; its own echo is ignored.
    pub node: String,
    /// The time, for [`Link::Down`].
    pub clock: Clock,
}

/// The configuration cannot work. An unreachable Redis is not an error.
#[derive(Debug, thiserror::Error)]
#[error("redis bus: {0}")]
pub struct BusError(#[from] redis::RedisError);

/// See the module.
pub struct RedisBus {
    node: String,
    outgoing: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

struct Shared {
    state: watch::Sender<BusState>,
    /// Something could not be told: the others must be told to catch up.
    owing: AtomicBool,
    /// The library saw the connection end.
    lost: Notify,
    clock: Clock,
}

impl RedisBus {
    /// Starts the bus; hand the receiver to [`crate::Hub::listen`]. Returns at once: until Redis
    /// answers, the state is [`Link::Down`].
    ///
    /// # Errors
    /// [`BusError`] for a URL that cannot be read.
    pub fn start(
        config: RedisBusConfig,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Signal>), BusError> {
        let RedisBusConfig { url, prefix, node, clock } = config;
        let since = clock();
        let shared = Arc::new(Shared {
            state: watch::Sender::new(BusState { link: Link::Down { since }, gaps: 0 }),
            owing: AtomicBool::new(false),
            lost: Notify::new(),
            clock,
        });
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        let (deliver, incoming) = mpsc::channel(INCOMING);

        let client = client(&url)?;
        let ear = {
            let (shared, node) = (Arc::clone(&shared), node.clone());
            move |push: PushInfo| shared.hear(push, &node, &deliver)
        };
        let manager = ConnectionManager::new_lazy_with_config(
            client,
            ConnectionManagerConfig::new()
                .set_connection_timeout(Some(TIMEOUT))
                .set_response_timeout(Some(TIMEOUT))
                .set_number_of_retries(1)
                .set_push_sender(ear)
                .set_automatic_resubscription(),
        )?;
        let link = LinkTask {
            shared: Arc::clone(&shared),
            manager,
            channel: format!("{prefix}:cable"),
            node: node.clone(),
            waiting,
        };
        tasks.spawn(stop.run_until_cancelled_owned(link.run()));
        Ok((Arc::new(Self { node, outgoing, shared }), incoming))
    }
}

/// A client for a URL; connections speak RESP3 and notice a peer that is gone without a word.
pub(crate) fn client(url: &str) -> Result<redis::Client, BusError> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(DEAD_PEER);
    Ok(redis::Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp))?)
}

impl Bus for RedisBus {
    fn send(&self, signal: &Signal) {
        if self.outgoing.try_send(encode(&self.node, signal)).is_err() {
            self.shared.owe(1);
        }
    }

    fn state(&self) -> watch::Receiver<BusState> {
        self.shared.state.subscribe()
    }
}

impl Shared {
    /// Takes a push of Redis; runs on the connection's task, so it must not wait.
    fn hear(&self, push: PushInfo, node: &str, deliver: &mpsc::Sender<Signal>) -> Result<(), ()> {
        match push.kind {
            PushKind::Message => {
                let Some(Value::BulkString(payload)) = push.data.into_iter().nth(1) else {
                    return Ok(());
                };
                match decode(&payload, node) {
                    Ok(None) => {}
                    Ok(Some(Signal::CatchUp)) => self.gap(),
                    Ok(Some(signal)) => match deliver.try_send(signal) {
                        Ok(()) => count("in", "delivered", 1),
                        Err(_) => {
                            count("in", "dropped", 1);
                            self.gap();
                        }
                    },
                    // Another version of this program may say things unknown here.
                    Err(error) => {
                        tracing::warn!(%error, "signal of another node not understood");
                        count("in", "malformed", 1);
                        self.gap();
                    }
                }
            }
            PushKind::Disconnection => self.lost.notify_one(),
            _ => {}
        }
        Ok(())
    }

    fn owe(&self, signals: u64) {
        count("out", "dropped", signals);
        self.owing.store(true, Ordering::SeqCst);
    }

    fn gap(&self) {
        self.state.send_modify(|state| state.gaps += 1);
    }

    fn down(&self) {
        let since = (self.clock)();
        self.state.send_if_modified(|state| {
            let was_up = state.link == Link::Up;
            if was_up {
                state.link = Link::Down { since };
            }
            was_up
        });
    }

    fn up(&self) {
        self.state.send_modify(|state| {
            state.link = Link::Up;
            state.gaps += 1;
        });
    }
}

struct LinkTask {
    shared: Arc<Shared>,
    manager: ConnectionManager,
    channel: String,
    node: String,
    waiting: mpsc::Receiver<Vec<u8>>,
}

impl LinkTask {
    async fn run(mut self) {
        let mut silent = false;
        let mut was_up = false;
        loop {
            // Of a connection before this one.
            let _stale = self.shared.lost.notified().now_or_never();
            match self.manager.subscribe(&self.channel).await {
                Ok(()) => {
                    silent = false;
                    if std::mem::replace(&mut was_up, true) {
                        counter!("redis.reconnects").increment(1);
                    }
                    self.shared.up();
                    tracing::info!("cable bus connected");
                    let error = self.talk().await;
                    self.shared.down();
                    tracing::warn!(%error, "cable bus lost: the database tail takes over");
                }
                Err(error) if silent => tracing::debug!(%error, "cable bus still not reachable"),
                Err(error) => {
                    silent = true;
                    tracing::warn!(%error, "cable bus not reachable");
                }
            }
            self.skip_for(RETRY).await;
        }
    }

    /// Sends until the link fails.
    async fn talk(&mut self) -> redis::RedisError {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if self.shared.owing.swap(false, Ordering::SeqCst) {
                batch.push(encode(&self.node, &Signal::CatchUp));
            }
            let asked = if batch.is_empty() {
                tokio::select! {
                    _ = self.waiting.recv_many(&mut batch, BATCH) => continue,
                    () = self.shared.lost.notified() => {
                        return (redis::ErrorKind::Io, "connection ended").into();
                    }
                    _ = heartbeat.tick() => {
                        timed("PING", redis::cmd("PING").exec_async(&mut self.manager)).await
                    }
                }
            } else {
                let mut pipe = redis::pipe();
                for signal in &batch {
                    pipe.publish(&self.channel, signal).ignore();
                }
                timed("PUBLISH", pipe.exec_async(&mut self.manager)).await
            };
            let signals = batch.len() as u64;
            batch.clear();
            match asked {
                Ok(()) => count("out", "sent", signals),
                Err(error) => {
                    if signals > 0 {
                        self.shared.owe(signals);
                    }
                    return error;
                }
            }
        }
    }

    /// Drops what would be sent too late to be of use.
    async fn skip_for(&mut self, pause: Duration) {
        let mut late = Vec::new();
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                skipped = self.waiting.recv_many(&mut late, BATCH) => {
                    self.shared.owe(skipped as u64);
                    late.clear();
                }
            }
        }
    }
}

/// What Redis answers, its time told to the meters.
async fn timed(
    command: &'static str,
    asked: impl Future<Output = redis::RedisResult<()>>,
) -> redis::RedisResult<()> {
    let began = Instant::now();
    let answer = asked.await;
    let outcome = match &answer {
        Ok(()) => "ok",
        Err(error) if error.is_timeout() => "timeout",
        Err(_) => "error",
    };
    meters::asked_redis(command, began, outcome);
    answer
}

fn count(direction: &'static str, outcome: &'static str, signals: u64) {
    if signals > 0 {
        counter!("chatwoot.cable.bus.signals", "direction" => direction, "outcome" => outcome)
            .increment(signals);
    }
}

/// First line of what travels; the message of a publication follows as it is, since JSON within
/// JSON would be escaped and unescaped for nothing.
#[derive(Serialize, Deserialize)]
struct Header {
    node: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Publication { id: i64, at: i64, streams: Vec<Arc<str>>, except: Option<Arc<str>> },
    Refresh { primary: Arc<str> },
    CatchUp {},
}

fn encode(node: &str, signal: &Signal) -> Vec<u8> {
    let (kind, message) = match signal {
        Signal::Publication(publication) => (
            Kind::Publication {
                id: publication.id,
                at: publication.at,
                streams: publication.streams.clone(),
                except: publication.except.clone(),
            },
            &*publication.message,
        ),
        Signal::Refresh(primary) => (Kind::Refresh { primary: Arc::clone(primary) }, ""),
        Signal::CatchUp => (Kind::CatchUp {}, ""),
    };
    let mut bytes = serde_json::to_vec(&Header { node: node.to_owned(), kind }).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(message.as_bytes());
    bytes
}

/// None for what this node said itself.
fn decode(bytes: &[u8], node: &str) -> Result<Option<Signal>, serde_json::Error> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let header: Header = serde_json::from_slice(parts.next().unwrap_or_default())?;
    if header.node == node {
        return Ok(None);
    }
    let message = parts.next().unwrap_or_default();
    Ok(Some(match header.kind {
        Kind::Publication { id, at, streams, except } => {
            let message = String::from_utf8_lossy(message);
            Signal::Publication(Arc::new(Publication {
                id,
                at,
                streams,
                except,
                message: Arc::from(&*message),
            }))
        }
        Kind::Refresh { primary } => Signal::Refresh(primary),
        Kind::CatchUp {} => Signal::CatchUp,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_survive_the_way() {
        #[track_caller]
        fn check(signal: Signal) {
            let sent = encode("a", &signal);
            assert_eq!(decode(&sent, "b").unwrap(), Some(signal), "heard by another node");
            assert_eq!(decode(&sent, "a").unwrap(), None, "the own echo");
        }
        let publication = |except: Option<&str>, message: &str| {
            Signal::Publication(Arc::new(Publication {
                id: i64::MAX,
                at: 7,
                streams: vec!["s\n1".into(), "s2".into()],
                except: except.map(Arc::from),
                message: message.into(),
            }))
        };
        check(publication(None, r#"{"event":"e","data":{"a":"ü\n"}}"#));
        check(publication(Some("s2"), "{\n}\n"));
        check(Signal::Refresh("to\nken".into()));
        check(Signal::CatchUp);
    }

    #[test]
    fn noise_is_an_error() {
        for noise in [&b""[..], b"\n", b"{}\n", b"{\"node\":\"a\",\"other\":{}}\n", b"\xff\n{}"] {
            assert!(decode(noise, "b").is_err(), "{noise:?}");
        }
    }
}
