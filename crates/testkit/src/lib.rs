//! Test harness: actors as values, throw-away databases, a clock of its own.
//!
//! Everything that needs the server stands behind the feature `server` (on by default):
//! `cargo xtask` takes [`services`] alone, so that it builds while the server does not.

mod golden;
pub mod services;

pub use golden::{REFERENCE_TESTS, REWRITE, golden};
