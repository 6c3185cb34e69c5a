//! Health checks that need the server's parts (operations.md §3.2).

mod clock;
mod database;
mod jobs;
mod mail;
mod redis;
mod scheduler;
mod storage;
mod tenants;

use std::time::Duration;

use async_trait::async_trait;
use chatwarden_db::{Db, migration_status};
use chatwarden_telemetry::health::{Check, Outcome};
use serde_json::json;

pub use clock::Clock;
pub use database::Database;
pub use jobs::JobLag;
pub use mail::Mail;
pub use redis::Redis;
pub use scheduler::Scheduler;
pub use storage::Storage;
pub use tenants::Tenants;

/// Whether the schema is the one this server was built for.
pub struct Migrations(pub Db);

#[async_trait]
impl Check for Migrations {
    fn id(&self) -> &'static str {
        "migrations"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["readiness", "startup", "deploy"]
    }

    async fn check(&mut self) -> Outcome {
        match migration_status(&self.0).await {
            // That the database is away is the other check's to say; the schema has not changed by it.
            Err(error) => Outcome::unknown(error.to_string()),
            Ok(known) => {
                let pending: Vec<_> =
                    known.iter().filter(|m| m.at.is_none()).map(|m| m.name.clone()).collect();
                let changed: Vec<_> =
                    known.iter().filter(|m| !m.unchanged).map(|m| m.name.clone()).collect();
                if pending.is_empty() && changed.is_empty() {
                    Outcome::up().with("applied", known.len())
                } else {
                    Outcome::down("the schema is not this server's")
                        .with("pending", json!(pending))
                        .with("changed", json!(changed))
                }
            }
        }
    }
}
