//! Two servers on one PostgreSQL and one Redis.

use anyhow::Result;
use chatwarden_testkit::services::{Durability, Postgres, Redis, Server};

use crate::desk::{SETTINGS, program};

/// Two servers, and what they share: it goes after them.
pub struct Pair {
    /// The servers.
    pub nodes: [Server; 2],
    /// What they tell each other through.
    pub redis: Redis,
    _postgres: Postgres,
}

impl Pair {
    /// Starts both, with these settings besides.
    pub fn start(more: &[(&str, &str)]) -> Result<Self> {
        let postgres = Postgres::start(Durability::None)?;
        let redis = Redis::start()?;
        let mut settings = SETTINGS.to_vec();
        settings.extend([
            ("DATABASE_URL", postgres.url()),
            ("REDIS_URL", redis.url()),
            ("SECRET_KEY_BASE", "shared by both nodes, 7Qw2mZ-4xR9v_Lk8"),
        ]);
        settings.extend(more);
        let mut nodes = [Server::new(program(), &settings)?, Server::new(program(), &settings)?];
        for node in &mut nodes {
            node.start()?;
        }
        Ok(Self { nodes, redis, _postgres: postgres })
    }

    /// Stops both, as who updates a server does.
    pub fn stop(mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Server::stop)
    }
}
