//! Test harness: actors as values, throw-away databases, a clock of its own.
//!
//! Everything that needs the server stands behind the feature `server` (on by default):
//! `cargo xtask` takes [`services`] alone, so that it builds while the server does not.

#[cfg(feature = "server")]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test stands on fails it by panicking"
)]
mod app;
mod golden;
#[cfg(feature = "server")]
mod reply;
pub mod services;
#[cfg(feature = "server")]
#[expect(clippy::expect_used, reason = "what a test stands on fails it by panicking")]
mod smtp;

#[cfg(feature = "server")]
pub use app::{Actor, App, BEGINNING, FILE_LIMIT, TestClock, engine};
#[cfg(feature = "server")]
pub use reply::Reply;
#[cfg(feature = "server")]
pub use smtp::{MailServer, Received};

pub use golden::{REFERENCE_TESTS, REWRITE, golden};
