//! Throw-away services: a PostgreSQL and a Redis that belong to the test that started them.
//!
//! Each stands on a free port of the loopback interface, keeps its files in a directory of its own
//! and is gone, files and all, when the value is dropped or the process that held it dies, however it
//! dies. A server that was running before is never touched.
//!
//! [`Postgres::shared`] and [`Redis::shared`] are for tests that only need one: `cargo xtask test`
//! starts both once and hands them to all test binaries in [`POSTGRES_URL`] and [`REDIS_URL`];
//! a test binary run by itself starts its own. [`Postgres::start`] and [`Redis::start`] are for tests
//! that stop, kill or fill their server.

mod install;
mod packages;
mod postgres;
mod process;
mod prometheus;
mod redis;
mod server;

use anyhow::Result;

pub use packages::{Node, Python};
pub use postgres::{Database, Durability, Postgres};
pub use process::{Service, free_port, wait_until};
pub use prometheus::Prometheus;
pub use redis::Redis;
pub use rustix::process::Signal;
pub use server::{Answer, Connection, Server, call};

/// Environment variable with the URL of a started PostgreSQL that tests may make databases on.
pub const POSTGRES_URL: &str = "CHATWARDEN_TEST_POSTGRES_URL";

/// Environment variable with the URL of a started Redis that tests may use.
pub const REDIS_URL: &str = "CHATWARDEN_TEST_REDIS_URL";

/// Installs what the tests of other people's clients run on, where it's missing.
///
/// # Errors
///
/// As those of [`Node::with`], [`Python::with`] and [`Prometheus::start`] about programs.
pub fn install_clients() -> Result<()> {
    packages::node()?;
    packages::python()?;
    prometheus::programs()?;
    Ok(())
}
