//! The security edge as tower layers.
//!
//! A request passes them in this order, each with a declared way to fail and a counter for it:
//!
//! | layer | fails | counter |
//! |---|---|---|
//! | [`client_ip`] | closed: an unreadable hop ends the walk | `clientip.rejected{reason}` |
//! | [`request_id`] | open: a malformed id is replaced | `requestid.rejected{header}` |
//! | (request line, written by the api) | | |
//! | [`headers`] | closed: an unknown page is an API answer | `http.insecure.refused{answer}` |
//! | [`cors`] | closed: an unknown origin gets nothing | `cors.denied{class}` |
//! | [`panics`] | closed: `500` | `http.server.panics` |
//! | [`rate_limit`] | local: each node keeps its share | `ratelimit.decisions{class,decision}` |
//! | [`limits`] | closed: `413`, `431`, `503` | `http.limits.refused{reason}` |
//! | [`input`] | closed for encodings, open for the detector | `inputguard.findings{category,location,action}` |
//!
//! [`Edge`] puts them around a router. Time and randomness come from [`Ambient`].

mod ambient;
mod answer;
pub mod client_ip;
pub mod cors;
mod edge;
pub mod filter;
pub mod headers;
pub mod input;
pub mod limits;
pub mod panics;
mod path;
pub mod rate_limit;
pub mod request_id;
#[cfg(test)]
mod testing;

pub use ambient::{Ambient, Clock, Entropy};
pub use client_ip::ClientIp;
pub use edge::{Edge, EdgeConfig};
pub use headers::{CspNonce, FrameAncestors, PageKind};
pub use rate_limit::{RateLimiter, Subject};
pub use request_id::{RequestId, TraceContext};
