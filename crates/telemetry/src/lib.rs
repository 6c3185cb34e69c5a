//! Meters, logs, the request line and health snapshots.
//!
//! The crate knows how to measure and how to show, not what a message or a
//! tenant is. Everything it publishes is measured: what can't be measured here
//! is absent, never zero (`operations.md`, rule zero), and every format is fed
//! from the same registry (rule one).

pub mod clock;
pub mod health;
pub mod logs;
pub mod meters;
pub mod redact;
pub mod request_line;
pub mod system;
