//! What the tests of this crate stand on: a database of their own on each engine, and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chatwarden_db::{
    Ambient, Clock, Db, DbError, Engine, Entropy, Options, PostgresOptions, Sql, SqliteOptions,
    Statement, SystemEntropy, Timestamp, WriteTx,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::outbox::{Entry, Relay, Routing, Stored};
use crate::{Limits, NewJob, Registry, Schedule, Worker, outbox};

/// The URL of a PostgreSQL that tests may fill; without it they run on SQLite only, and say so.
const POSTGRES_URL: &str = "CHATWARDEN_TEST_POSTGRES_URL";

/// Where the clock begins: 2026-01-05 09:00:00 UTC.
const BEGINNING: Timestamp = Timestamp::from_unix(1_767_603_600);

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The same randomness in every run.
#[derive(Debug)]
struct TestEntropy(Mutex<StdRng>);

impl Entropy for TestEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

/// A migrated database for one test.
pub(crate) struct Bench {
    pub(crate) db: Db,
    clock: Arc<TestClock>,
    names: AtomicU64,
    _held: Held,
}

/// What goes away with the test.
#[expect(dead_code, reason = "held to be dropped")]
enum Held {
    Sqlite(tempfile::TempDir),
    Postgres(OwnDatabase),
}

struct OwnDatabase {
    url: String,
    name: String,
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(on_server(&url, format!("drop database {name} with (force)")));
        });
        let _ = dropped.join();
    }
}

/// Says something that no transaction may.
async fn on_server(url: &str, text: String) {
    let db = Db::open(Options::Postgres(PostgresOptions::new(url)), Ambient::default()).unwrap();
    let statement = sql::<()>(text);
    db.read(async move |tx| tx.all(statement, []).await).await.unwrap();
    db.close().await;
}

fn surroundings() -> (Arc<TestClock>, Ambient) {
    let clock = Arc::new(TestClock(AtomicI64::new(BEGINNING.micros())));
    let entropy = Arc::new(TestEntropy(Mutex::new(StdRng::seed_from_u64(7))));
    (clock.clone(), Ambient { clock, entropy, lent: Arc::new(()) })
}

impl Bench {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = SqliteOptions::new(folder.path().join("test.sqlite3"));
        options.full_sync = false;
        options.readers = 2;
        let (clock, ambient) = surroundings();
        let db = Db::open(Options::Sqlite(options), ambient).unwrap();
        chatwarden_db::migrate(&db).await.unwrap();
        Self { db, clock, names: AtomicU64::new(0), _held: Held::Sqlite(folder) }
    }

    /// A database of its own on the server that the environment names.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var(POSTGRES_URL) else {
            eprintln!("NOT RUN on PostgreSQL: {POSTGRES_URL} is not set");
            return None;
        };
        let mut name = [0; 8];
        SystemEntropy.fill(&mut name);
        let name = format!("jobs_{:016x}", u64::from_ne_bytes(name));
        on_server(&url, format!("create database {name}")).await;
        let own = OwnDatabase { url: url.clone(), name: name.clone() };
        let (server, _) = url.rsplit_once('/').expect("a URL with a database");
        let (clock, ambient) = surroundings();
        let options = PostgresOptions::new(format!("{server}/{name}"));
        let db = Db::open(Options::Postgres(options), ambient).unwrap();
        chatwarden_db::migrate(&db).await.unwrap();
        Some(Self { db, clock, names: AtomicU64::new(0), _held: Held::Postgres(own) })
    }

    /// One on each engine there is.
    pub(crate) async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }

    pub(crate) fn engine(&self) -> Engine {
        self.db.engine()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub(crate) async fn enqueue(&self, jobs: Vec<NewJob>) -> u64 {
        self.db.write(async move |tx| crate::enqueue_all(tx, &jobs).await).await.unwrap()
    }

    /// Emits events in one transaction.
    pub(crate) async fn emit(&self, entries: Vec<Entry>) -> Vec<Stored> {
        self.db
            .write(async move |tx: &mut WriteTx<'_>| {
                for entry in entries {
                    outbox::push(tx, entry);
                }
                outbox::flush(tx).await
            })
            .await
            .unwrap()
    }

    /// What a query without parameters counts.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let statement = sql::<(i64,)>(query.to_owned());
        let read = self.db.read(async move |tx| tx.one(statement, []).await);
        read.await.map(|(n,)| n).unwrap_or_else(|e: DbError| panic!("{query}: {e}"))
    }

    /// A worker that nobody else is.
    pub(crate) fn worker(&self, registry: Registry) -> Worker {
        self.worker_with(registry, &[], Limits::default())
    }

    pub(crate) fn worker_with(
        &self,
        registry: Registry,
        schedules: &'static [Schedule],
        limits: Limits,
    ) -> Worker {
        let name = format!("worker-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let relay = Relay::new(self.db.clone(), Arc::new(|_: &Stored| Vec::new()));
        Worker::new(self.db.clone(), registry, relay, schedules, limits, name, |_| ())
    }
}

impl<F: Fn(&Stored) -> Vec<NewJob> + Send + Sync> Routing for F {
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob> {
        self(stored)
    }
}

/// A statement of a test.
pub(crate) fn sql<R: chatwarden_db::FromRow>(text: String) -> &'static Statement<R> {
    Box::leak(Box::new(Statement::new("test.sql", Sql::Both(text.leak()), file!())))
}

/// A job that says which of its tenant's it is.
pub(crate) fn job(account: i64, n: i64) -> NewJob {
    NewJob::new(account, "note", Value::from(n))
}

/// An event of an account.
pub(crate) fn entry(account_id: i64, event: &str) -> Entry {
    Entry {
        account_id,
        event: event.to_owned(),
        streams: vec![format!("account_{account_id}")],
        except: None,
        message: format!("{{\"event\":\"{event}\"}}"),
        context: Value::Null,
    }
}

/// What handlers did: account, payload.
pub(crate) type Done = Arc<Mutex<Vec<(i64, Value)>>>;

/// Handlers that note what they did.
pub(crate) fn noting(done: &Done) -> Registry {
    let done = done.clone();
    Registry::new().on("note", move |job| {
        done.lock().push((job.account_id, job.payload));
        std::future::ready(Ok(()))
    })
}

/// Waits for what other tasks bring about; fails where it takes absurdly long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes about")
}
