//! `db`: whether the database answers, takes writes, and how long requests wait for it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_db::{Db, Engine, Pressure, Standing};
use chatwarden_telemetry::health::{Check, Outcome, Status};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde_json::json;

/// From here on the database is called slow.
const SLOW: Duration = Duration::from_millis(250);
/// So long requests may wait for a connection, on and on.
const CROWDED: Duration = Duration::from_secs(10);
/// A question that waited so long for a connection found none, as far as requests are concerned.
const WAITS: Duration = Duration::from_secs(2);

/// Asks the database, over its pool.
pub struct Database {
    db: Db,
    /// SQLite's file.
    file: Option<PathBuf>,
    /// Since when requests wait each time it is looked.
    crowded: Option<Instant>,
}

impl Database {
    /// A check of `db`, which is in `file` where it is SQLite's.
    pub fn new(db: Db, file: Option<PathBuf>) -> Self {
        Self { db, file, crowded: None }
    }

    /// Whether the file takes no writes: it may have been mounted anew since it was opened.
    fn is_sealed(&self) -> bool {
        let refused = |file: &PathBuf| access(file.as_path(), Access::WRITE_OK);
        matches!(self.file.as_ref().map(refused), Some(Err(Errno::ROFS | Errno::ACCESS)))
    }
}

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
        let name = match self.db.engine() {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        };
        let mut standing = match self.db.standing().await {
            Err(error) => return Outcome::down(error.to_string()).with("database", name),
            Ok(standing) => standing,
        };
        standing.read_only |= self.is_sealed();
        let pressure = self.db.pressure();
        if pressure.waiting == 0 {
            self.crowded = None;
        } else {
            self.crowded.get_or_insert_with(Instant::now);
        }
        let crowded = self.crowded.map_or(Duration::ZERO, |since| since.elapsed());
        judge(&standing, crowded)
            .with("database", name)
            .with("version", standing.version.as_str())
            .with("role", if standing.replica { "replica" } else { "primary" })
            .with("readOnly", standing.read_only)
            .with("latencyMs", millis(standing.took))
            .with("pool", pool(pressure, standing.waited))
    }
}

fn judge(standing: &Standing, crowded: Duration) -> Outcome {
    if standing.read_only {
        Outcome::down("the database takes no writes")
    } else if standing.waited > WAITS {
        Outcome::down("no connection is free in time")
    } else if crowded >= CROWDED {
        Outcome::degraded("requests wait for a connection")
    } else if standing.took > SLOW {
        Outcome::degraded("slow")
    } else {
        Outcome::up()
    }
}

fn pool(pressure: Pressure, waited: Duration) -> serde_json::Value {
    json!({
        "active": pressure.busy, "idle": pressure.open.saturating_sub(pressure.busy),
        "max": pressure.limit, "pending": pressure.waiting, "waitMs": millis(waited),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use chatwarden_db::{Ambient, DbError, Options, SqliteOptions};

    use super::*;

    #[test]
    fn waiting_and_refusing_writes_are_worse_than_being_slow() {
        let secs = Duration::from_secs;
        for (read_only, waited, took, crowded, expected) in [
            (false, secs(0), secs(0), secs(0), Status::Up),
            (false, secs(2), secs(0), secs(5), Status::Up),
            (false, secs(0), secs(1), secs(0), Status::Degraded),
            (false, secs(0), secs(0), secs(10), Status::Degraded),
            (false, secs(3), secs(0), secs(0), Status::Down),
            (true, secs(0), secs(0), secs(0), Status::Down),
        ] {
            let standing =
                Standing { version: String::new(), replica: false, read_only, waited, took };
            let found = judge(&standing, crowded).status();
            assert_eq!(found, expected, "{read_only} {waited:?} {took:?} {crowded:?}");
        }
    }

    #[tokio::test]
    async fn it_asks_those_who_read_and_the_one_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.sqlite3");
        let mut options = SqliteOptions::new(&file);
        options.readers = 2;
        let db = Db::open(Options::Sqlite(options), Ambient::default()).unwrap();
        let mut check = Database::new(db.clone(), Some(file));
        let found = check.check().await;
        assert_eq!(found.status(), Status::Up, "{found:?}");
        let pool = db.pressure();
        assert_eq!((pool.open, pool.limit, pool.waiting), (3, 3, 0));
        let busy = {
            let db = db.clone();
            db.clone().read(async move |_| Ok::<_, DbError>(db.pressure().busy)).await.unwrap()
        };
        assert!(busy >= 1, "the one that asks is at work");
        db.close().await;
        assert_eq!(check.check().await.status(), Status::Down);
    }
}
