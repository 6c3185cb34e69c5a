//! Action Cable over any socket: frames, subscriptions, fan-out, replay and presence.
//!
//! This crate knows streams (opaque strings), not accounts; sockets (a stream of text and a sink),
//! not a web framework. What a channel means is said by the application through [`Channel`] and
//! [`Subscriber`].
//!
//! ```text
//!  writer ── Hub::tell ─────┬─ this node's subscriptions ── Outbox ── serve ── socket
//!                           └─ Bus::send ── other nodes ── Hub::receive ── their subscriptions
//!  database tail ── Hub::receive (repeats are dropped by id)
//! ```
//!
//! Delivery is at least once per subscription: a publication may reach a hub by its writer, by the
//! bus and by the tail of the database, in any order, and is written once as long as its id is
//! within the window of recent ids ([`HubConfig::recent_ids`]). What a client missed while it was
//! away it gets back with the extended protocol ([`Protocol::V1ExtJson`]).
//!
//! Meters (dotted names as in `operations.md` §2.3 and §2.4):
//!
//! | meter | labels | counts |
//! |---|---|---|
//! | `chatwoot.websocket.connections` | `kind`, `outcome` = accepted, refused, abandoned | sockets, once each, when their first subscription was decided or they left before |
//! | `chatwoot.websocket.connections.active` | `kind` | open sockets; `unknown` until the first accepted subscription |
//! | `chatwoot.websocket.frames`, `.bytes` | `direction` | text frames |
//! | `chatwoot.websocket.send.queue` | – | frames waiting when one is taken to be written |
//! | `chatwoot.websocket.closed` | `code` | ended sockets; 1006 when nobody said goodbye |
//! | `chatwoot.message.fanout` | `audience` | seconds from the commit of a publication to its frame written |
//! | `chatwoot.cable.repeats` | – | publications dropped because their id had been delivered |
//! | `chatwoot.cable.bus.signals` | `direction`, `outcome` | what travelled between the nodes |
//! | `chatwoot.presence.fallbacks` | `op` | presence answered from the local view because Redis was not reachable |

mod bus;
mod channel;
mod connection;
mod hub;
mod meters;
mod presence;
mod protocol;
mod publication;
mod queue;
mod serve;
mod subscription;

pub use bus::{Bus, BusError, BusState, InProcess, Link, RedisBus, RedisBusConfig};
pub use channel::{Channel, Channels, HistoryLost, Refusal, Since, Subscribed, Subscriber};
pub use connection::Connection;
pub use hub::{Clock, Hub, HubConfig};
pub use presence::{Presence, RedisPresence};
pub use protocol::{
    Command, DisconnectReason, HistoryRequest, Malformed, Position, Protocol, StreamPosition,
};
pub use publication::{Publication, Signal};
pub use queue::{Outbox, Outgoing};
pub use serve::{Incoming, serve};
