//! Which subscriptions listen to which streams, and what every socket of this node gets.

mod recent;
mod refresh;
mod registry;
mod sockets;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use registry::Registry;

use self::recent::RecentIds;
use self::refresh::Refreshes;
use self::sockets::Sockets;
use crate::bus::Bus;
use crate::channel::Channels;
use crate::connection::Connection;
use crate::meters::Meters;
use crate::protocol::{DisconnectReason, Protocol, ping};
use crate::publication::{Publication, Signal};
use crate::queue::{Item, Outbox, Queue};

/// Gives the time, microseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a hub needs to know.
#[derive(Clone)]
pub struct HubConfig {
    /// Names the database the positions are of; clients hand it back when they resume.
    pub epoch: Arc<str>,
    /// The time, for ping frames and the fan-out meter.
    pub clock: Clock,
    /// Frames that may wait for one socket; one more ends it as a slow consumer. Default 512.
    pub queue_frames: usize,
    /// Ids of publications remembered to drop repeats. Default 16,384.
    pub recent_ids: usize,
    /// Subscriptions of one socket. Default 64.
    pub max_subscriptions: usize,
}

impl HubConfig {
    /// The defaults.
    pub fn new(epoch: impl Into<Arc<str>>, clock: Clock) -> Self {
        Self {
            epoch: epoch.into(),
            clock,
            queue_frames: 512,
            recent_ids: 16_384,
            max_subscriptions: 64,
        }
    }
}

/// The sockets and subscriptions of this node.
pub struct Hub {
    config: HubConfig,
    bus: Arc<dyn Bus>,
    registry: Registry,
    recent: RecentIds,
    sockets: Sockets,
    refreshes: Refreshes,
    ids: AtomicU64,
    draining: AtomicBool,
    meters: Arc<Meters>,
    seed: RandomState,
}

impl Hub {
    /// Starts a hub. Its tasks (pings, refreshes) are on `tasks` and end with `stop`.
    pub fn start(
        config: HubConfig,
        bus: Arc<dyn Bus>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let hub = Arc::new(Self {
            registry: Registry::new(),
            recent: RecentIds::new(config.recent_ids),
            sockets: Sockets::new(),
            refreshes: Refreshes::new(),
            ids: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            meters: Arc::new(Meters::new()),
            seed: RandomState::new(),
            config,
            bus,
        });
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&hub).send_pings()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&hub).run_refreshes()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&hub).watch_bus()));
        hub
    }

    /// Takes what other nodes say until the bus ends; to be run as a task.
    pub async fn listen(self: Arc<Self>, mut signals: mpsc::Receiver<Signal>) {
        while let Some(signal) = signals.recv().await {
            self.receive(signal);
        }
    }

    /// A new socket. Its first frame (welcome) is queued already.
    pub fn connect(
        self: &Arc<Self>,
        protocol: Protocol,
        channels: Arc<Channels>,
    ) -> (Connection, Outbox) {
        let id = self.next_id();
        let queue = Queue::new(self.config.queue_frames);
        let sid = format!("{:016x}", self.seed.hash_one(id));
        queue.push(Item::Text(protocol.welcome(&sid)));
        self.sockets.add(id, &queue);
        if self.draining.load(Ordering::SeqCst) {
            queue.close(DisconnectReason::ServerRestart);
        }
        let outbox = Outbox::new(
            Arc::clone(&queue),
            protocol,
            Arc::clone(&self.config.epoch),
            Arc::clone(&self.config.clock),
            Arc::clone(&self.meters),
        );
        (Connection::new(Arc::clone(self), id, protocol, channels, queue), outbox)
    }

    /// Does it here and tells the other nodes. To be called after the commit; neither waits nor fails. Returns the
    /// number of subscriptions reached on this node.
    pub fn tell(&self, signal: Signal) -> usize {
        self.bus.send(&signal);
        self.receive(signal)
    }

    /// Does what was said elsewhere, or stands in the database; the number of subscriptions reached.
    pub fn receive(&self, signal: Signal) -> usize {
        match signal {
            Signal::Publication(publication) => self.deliver(&publication),
            Signal::Refresh(primary) => {
                self.refreshes.ask(primary, &self.registry);
                0
            }
            // The bus counts it as a gap; the tail of the database watches for those.
            Signal::CatchUp => 0,
        }
    }

    /// What was delivered already is dropped.
    fn deliver(&self, publication: &Arc<Publication>) -> usize {
        if publication.id > 0 && !self.recent.insert(publication.id) {
            self.meters.repeats.increment(1);
            return 0;
        }
        let subscriptions = self.registry.listening(&publication.streams);
        subscriptions.iter().filter(|subscription| subscription.deliver(publication)).count()
    }

    /// Sends all sockets away: each gets the disconnect frame (`server_restart`) and is closed with
    /// 1012 at a random moment within `spread`. New ones are sent away at once. Returns when all
    /// are closed, which none takes longer for than [`crate::serve`] lets it.
    pub async fn drain(&self, spread: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let jitter = RandomState::new();
        let mut schedule: Vec<_> = self
            .sockets
            .all()
            .into_iter()
            .map(|(id, queue)| {
                let share = (jitter.hash_one(id) >> 32) as u32;
                (spread.mul_f64(f64::from(share) / f64::from(u32::MAX)), queue)
            })
            .collect();
        schedule.sort_by_key(|(after, _)| *after);
        let start = Instant::now();
        for (after, queue) in schedule {
            tokio::time::sleep_until(start + after).await;
            queue.close(DisconnectReason::ServerRestart);
        }
        self.sockets.all_gone().await;
    }

    /// Open sockets of this node.
    pub fn sockets(&self) -> usize {
        self.sockets.count()
    }

    /// The bus this hub tells other nodes by.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.config
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn forget(&self, socket: u64) {
        self.sockets.remove(socket);
    }

    /// How many refreshes were asked for so far.
    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshes.asked()
    }

    /// Refreshes again if that was asked for since: the subscription was decided, but not yet
    /// found, when it happened.
    pub(crate) fn refresh_if_missed(&self, since: u64, primary: &Arc<str>) {
        if self.refreshes.asked_since(since, primary) {
            self.refreshes.ask(Arc::clone(primary), &self.registry);
        }
    }

    async fn send_pings(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(sockets::TICK);
        loop {
            ticks.tick().await;
            let due = self.sockets.next_due();
            if due.is_empty() {
                continue;
            }
            let frame: Arc<str> = ping((self.config.clock)().div_euclid(1_000_000)).into();
            for queue in due {
                queue.ping(&frame);
            }
        }
    }

    async fn run_refreshes(self: Arc<Self>) {
        loop {
            let primary = self.refreshes.next().await;
            self.registry.refresh(&primary).await;
        }
    }

    /// After a gap nobody knows which refreshes were missed.
    async fn watch_bus(self: Arc<Self>) {
        let mut states = self.bus.state();
        let mut gaps = states.borrow_and_update().gaps;
        while states.changed().await.is_ok() {
            let now = states.borrow_and_update().gaps;
            if now != gaps {
                gaps = now;
                self.refreshes.ask_all(&self.registry);
            }
        }
    }
}
