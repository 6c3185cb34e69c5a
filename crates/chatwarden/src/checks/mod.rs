//! Health checks that need the server's parts (operations.md §3.2).

mod jobs;
mod redis;
mod scheduler;
mod storage;
mod tenants;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_db::{Db, Engine, migration_status};
use chatwarden_telemetry::health::{Check, Outcome, Status};
use serde_json::json;

pub use jobs::JobLag;
pub use redis::Redis;
pub use scheduler::Scheduler;
pub use storage::Storage;
pub use tenants::Tenants;

/// Whether the database answers, and how fast.
pub struct Database(pub Db);

/// From here on the database is called slow.
const SLOW: Duration = Duration::from_millis(250);

#[async_trait]
impl Check for Database {
    fn id(&self) -> &'static str {
        "db"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    fn when_stale(&self) -> Status {
        Status::Down
    }

    async fn check(&mut self) -> Outcome {
        let began = Instant::now();
        let name = match self.0.engine() {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        };
        match self.0.ping().await {
            Err(error) => Outcome::down(error.to_string()).with("database", name),
            Ok(version) => {
                let took = began.elapsed();
                let pressure = self.0.pressure();
                let found = if took > SLOW || pressure.waiting > 0 {
                    Outcome::degraded("slow, or requests wait for it")
                } else {
                    Outcome::up()
                };
                let pool = match pressure.busy {
                    Some(busy) => json!({
                        "active": busy, "idle": pressure.limit.saturating_sub(busy),
                        "max": pressure.limit, "pending": pressure.waiting,
                    }),
                    None => json!({"max": pressure.limit, "pending": pressure.waiting}),
                };
                found
                    .with("database", name)
                    .with("version", version)
                    .with("latencyMs", took.as_secs_f64() * 1e3)
                    .with("pool", pool)
            }
        }
    }
}

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
