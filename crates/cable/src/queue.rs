//! The bounded queue of frames of one socket.
//!
//! Own code instead of a channel because an idle socket must cost next to nothing (an empty deque,
//! no blocks allocated ahead), because an overflow must empty the queue, and because frames are
//! joined only when they are taken: until then sockets share the publication.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::task::AtomicWaker;
use metrics::Histogram;
use parking_lot::Mutex;

use crate::hub::Clock;
use crate::meters::Meters;
use crate::protocol::{DisconnectReason, Position, Protocol};
use crate::publication::Publication;
use crate::subscription::Subscription;

/// Pings nobody took; by then (30 s at a ping each 3 s) the peer is as good as gone.
const MAX_PENDING_PINGS: u8 = 10;

/// Above this many slots a drained deque gives its memory back.
const KEEP_SLOTS: usize = 32;

/// What is to be written to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame.
    Text(String),
    /// A close frame; nothing follows.
    Close {
        /// RFC 6455 close code.
        code: u16,
        /// Reason phrase of the close frame.
        reason: &'static str,
    },
}

pub(crate) enum Item {
    /// A frame as it is.
    Text(String),
    /// A ping, shared by all sockets of a tick.
    Ping(Arc<str>),
    /// A message for one subscription only.
    Message(Arc<Subscription>, Arc<str>),
    /// A publication as it happens.
    Publication(Arc<Subscription>, Arc<Publication>),
    /// A publication of the past: not measured as fan-out.
    Replay(Arc<Subscription>, Arc<Publication>),
}

struct State {
    items: VecDeque<Item>,
    pending_pings: u8,
    /// Set once: what the socket is to be closed with after the items.
    close: Option<DisconnectReason>,
    close_taken: bool,
    /// The consumer is gone.
    gone: bool,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    readable: AtomicWaker,
    writable: AtomicWaker,
    ending: AtomicWaker,
    capacity: usize,
}

impl Queue {
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                pending_pings: 0,
                close: None,
                close_taken: false,
                gone: false,
            }),
            readable: AtomicWaker::new(),
            writable: AtomicWaker::new(),
            ending: AtomicWaker::new(),
            capacity: capacity.max(2),
        })
    }

    /// Queues an item; a full queue ends the socket as a slow consumer. False when the socket is
    /// ending.
    pub fn push(&self, item: Item) -> bool {
        let pushed = self.change(|state| {
            if state.items.len() >= self.capacity {
                state.overflow();
                return false;
            }
            state.items.push_back(item);
            true
        });
        if pushed {
            self.readable.wake();
        }
        pushed
    }

    /// Queues a ping unless one waits already; too many that nobody took end the socket.
    pub fn ping(&self, frame: &Arc<str>) {
        let pushed = self.change(|state| {
            state.pending_pings = state.pending_pings.saturating_add(1);
            match state.pending_pings {
                1 => {
                    state.items.push_back(Item::Ping(Arc::clone(frame)));
                    true
                }
                pings if pings > MAX_PENDING_PINGS => {
                    state.overflow();
                    false
                }
                _ => false,
            }
        });
        if pushed {
            self.readable.wake();
        }
    }

    /// Runs a change on a live queue and wakes everybody if it ended the socket.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) -> bool {
        let (changed, ended) = {
            let mut state = self.state.lock();
            if state.ended() {
                return false;
            }
            (change(&mut state), state.ended())
        };
        if ended {
            self.wake_all();
        }
        changed
    }

    fn wake_all(&self) {
        self.readable.wake();
        self.writable.wake();
        self.ending.wake();
    }

    /// Queues an item when half of the queue is free: replays wait for the peer instead of pushing
    /// it over the edge. False when the socket is ending. One waiter at a time.
    pub async fn push_patiently(&self, item: Item) -> bool {
        let mut item = Some(item);
        let pushed = poll_fn(|context| {
            self.writable.register(context.waker());
            let mut state = self.state.lock();
            if state.ended() {
                return Poll::Ready(false);
            }
            if state.items.len() >= self.capacity / 2 {
                return Poll::Pending;
            }
            state.items.extend(item.take());
            Poll::Ready(true)
        })
        .await;
        if pushed {
            self.readable.wake();
        }
        pushed
    }

    /// Ends the socket after what is queued: disconnect frame, close frame.
    pub fn close(&self, reason: DisconnectReason) {
        self.change(|state| {
            state.close_with(reason);
            true
        });
    }

    /// Ends the socket as a slow consumer, forgetting what is queued.
    pub fn overflow(&self) {
        self.change(|state| {
            state.overflow();
            true
        });
    }

    /// Why the server ended the socket, if it did.
    pub fn closed_by_server(&self) -> Option<DisconnectReason> {
        self.state.lock().close
    }

    /// True when nothing can be queued any more.
    pub fn ended(&self) -> bool {
        self.state.lock().ended()
    }

    /// Completes when the socket is ending, whatever is still to be written.
    pub async fn until_ending(&self) {
        poll_fn(|context| {
            self.ending.register(context.waker());
            if self.ended() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Nothing is read any more.
    fn abandon(&self) {
        {
            let mut state = self.state.lock();
            state.gone = true;
            state.items = VecDeque::new();
        }
        self.wake_all();
    }
}

impl State {
    fn ended(&self) -> bool {
        self.close.is_some() || self.gone
    }

    fn close_with(&mut self, reason: DisconnectReason) {
        self.items.push_back(Item::Text(reason.frame()));
        self.close = Some(reason);
    }

    fn overflow(&mut self) {
        self.items = VecDeque::new();
        self.close_with(DisconnectReason::SlowConsumer);
    }
}

/// The receiving end of the frames of one socket.
pub struct Outbox {
    queue: Arc<Queue>,
    protocol: Protocol,
    epoch: Arc<str>,
    clock: Clock,
    meters: Arc<Meters>,
    /// The publication taken last: when the next one is asked for, it has been written.
    written: Option<(Histogram, i64)>,
}

impl Outbox {
    pub(crate) fn new(
        queue: Arc<Queue>,
        protocol: Protocol,
        epoch: Arc<str>,
        clock: Clock,
        meters: Arc<Meters>,
    ) -> Self {
        Self { queue, protocol, epoch, clock, meters, written: None }
    }

    /// The next frame; none after the close frame. Ask for it when the one before has been
    /// written: that is how the fan-out time is measured. Safe to cancel.
    pub async fn recv(&mut self) -> Option<Outgoing> {
        if let Some((fanout, committed)) = self.written.take() {
            let micros = (self.clock)().saturating_sub(committed).max(0);
            fanout.record(std::time::Duration::from_micros(micros.unsigned_abs()));
        }
        let queue = Arc::clone(&self.queue);
        let (item, waiting) = poll_fn(|context| {
            queue.readable.register(context.waker());
            let mut state = queue.state.lock();
            if state.gone {
                return Poll::Ready((None, 0));
            }
            let waiting = state.items.len();
            match state.items.pop_front() {
                Some(item) => {
                    if matches!(item, Item::Ping(_)) {
                        state.pending_pings = 0;
                    }
                    if state.items.is_empty() && state.items.capacity() > KEEP_SLOTS {
                        state.items = VecDeque::new();
                    }
                    Poll::Ready((Some(item), waiting))
                }
                None if state.close.is_some() => Poll::Ready((None, 0)),
                None => Poll::Pending,
            }
        })
        .await;
        let Some(item) = item else {
            return self.take_close();
        };
        self.queue.writable.wake();
        let text = self.render(item);
        self.meters.frames_out.increment(1);
        self.meters.bytes_out.increment(text.len() as u64);
        self.meters.send_queue.record(waiting as f64);
        Some(Outgoing::Text(text))
    }

    /// The queue itself.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    fn take_close(&self) -> Option<Outgoing> {
        let mut state = self.queue.state.lock();
        let reason = state.close?;
        if state.close_taken || state.gone {
            return None;
        }
        state.close_taken = true;
        Some(Outgoing::Close { code: reason.close_code(), reason: reason.name() })
    }

    fn render(&mut self, item: Item) -> String {
        match item {
            Item::Text(text) => text,
            Item::Ping(frame) => frame.to_string(),
            Item::Message(subscription, message) => {
                self.protocol.join(&subscription.head, &message, None)
            }
            Item::Publication(subscription, publication) => {
                if publication.at > 0 {
                    self.written = Some((subscription.fanout.clone(), publication.at));
                }
                self.render_publication(&subscription, &publication)
            }
            Item::Replay(subscription, publication) => {
                self.render_publication(&subscription, &publication)
            }
        }
    }

    fn render_publication(&self, subscription: &Subscription, publication: &Publication) -> String {
        let position = (publication.id > 0).then(|| Position {
            stream_id: &subscription.stream_id,
            epoch: &self.epoch,
            offset: publication.id,
        });
        self.protocol.join(&subscription.head, &publication.message, position)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
