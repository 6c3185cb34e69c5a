//! The database as the rest of the server sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use crate::pool::{self, Mode};
use crate::postgres::Session;
use crate::sqlite::{Setting, Sqlite};
use crate::tx::Conn;
use crate::{
    Ambient, DbError, FromRow, Row, Statement, Tx, Usage, Value, WriteTx, postgres, usage,
};

/// Which engine a database is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, embedded.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// How to open a database.
#[derive(Debug, Clone)]
pub enum Options {
    /// SQLite, embedded.
    Sqlite(SqliteOptions),
    /// PostgreSQL.
    Postgres(PostgresOptions),
}

/// How to open a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; its folder is made.
    pub path: PathBuf,
    /// Reader threads.
    pub readers: usize,
    /// `synchronous=FULL`: an acknowledged write survives a power cut.
    pub full_sync: bool,
    /// Page cache of each connection, KiB.
    pub cache_kib: u32,
    /// Closures that may wait for the writer, and for the readers.
    pub queue: usize,
    /// How long one may wait before it is refused.
    pub queue_timeout: Duration,
    /// Statements are ended after this.
    pub statement_timeout: Duration,
    /// Statements slower than this are logged.
    pub slow: Duration,
    /// Is told each statement with its values as it begins: for load runs, which repeat them.
    pub told: Option<fn(&str)>,
}

impl SqliteOptions {
    /// The defaults, for the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16),
            full_sync: true,
            cache_kib: 8 * 1024,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(14),
            slow: Duration::from_millis(250),
            told: None,
        }
    }
}

/// How to reach a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=…`; several hosts separated by commas.
    ///
    /// `sslmode` and `sslrootcert` mean what they mean to libpq: `disable`, `allow` and `prefer` (the default)
    /// check nothing, `require` encrypts, `verify-ca` checks who signed the server's certificate and
    /// `verify-full` also that it is this host's. Where an authority is named, all but `disable` check it.
    pub url: String,
    /// Connections at most.
    pub connections: usize,
    /// How long a request may wait for one before it is refused.
    pub queue_timeout: Duration,
    /// Statements are cancelled after this.
    pub statement_timeout: Duration,
    /// Prepare statements (off behind a pgbouncer that pools transactions).
    pub prepare: bool,
    /// Certificates of the authority to trust instead of the system's, PEM; `sslrootcert` in the URL comes first.
    pub root_certificates: Option<PathBuf>,
    /// Statements slower than this are logged.
    pub slow: Duration,
}

impl PostgresOptions {
    /// The defaults, for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            queue_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(14),
            prepare: true,
            root_certificates: None,
            slow: Duration::from_millis(250),
        }
    }
}

crate::statements! {
    /// Whether the database answers, whether it follows another, and whether it takes writes.
    STANDING: (String, bool, bool) = "db.standing",
        sqlite: "select sqlite_version(), false, false",
        postgres: "select current_setting('server_version'), pg_is_in_recovery(), \
                   current_setting('transaction_read_only') = 'on'";

    /// See [`Load`]; SQLite has one who writes at a time, and nobody waits for locks.
    LOAD: (i64, Option<i64>, Option<i64>, Option<i64>) = "db.load",
        sqlite: "select pages.page_count * sizes.page_size, cast(null as bigint), cast(null as bigint), cast(null as bigint)
                 from pragma_page_count() pages, pragma_page_size() sizes",
        postgres: "select pg_database_size(current_database()),
                          (select deadlocks from pg_stat_database where datname = current_database()),
                          (select count(*) from pg_locks where not granted),
                          (select (extract(epoch from clock_timestamp() - min(xact_start)) * 1000000)::bigint
                           from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid())";

    /// What time the database takes it to be, in microseconds since the epoch.
    CLOCK: (i64,) = "db.clock",
        sqlite: "select cast(unixepoch('subsec') * 1000000 as integer)",
        postgres: "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
}

/// What the database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its version.
    pub version: String,
    /// Whether it repeats what another one does.
    pub replica: bool,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// How long the question waited for a connection or a thread; on SQLite also what waits to write.
    pub waited: Duration,
    /// How long the answer took from there.
    pub took: Duration,
}

/// What the database has to carry (operations.md §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The bytes that it takes on its disk; SQLite's log not among them.
    pub bytes: i64,
    /// Deadlocks since its statistics began; PostgreSQL's alone, as what follows.
    pub deadlocks: Option<u64>,
    /// Locks that somebody waits for.
    pub locks_waiting: Option<i64>,
    /// The age of the oldest open transaction, of those that our role may see; none is open: zero.
    pub oldest_transaction: Option<Duration>,
}

/// A handle to the database; clones share it.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    backend: Backend,
    ambient: Ambient,
    slow: Duration,
}

enum Backend {
    Sqlite { threads: Sqlite, options: SqliteOptions },
    Postgres { pool: deadpool_postgres::Pool, prepare: bool },
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("engine", &self.engine()).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens a database. PostgreSQL is connected to when first asked.
    ///
    /// # Errors
    /// A file that can't be opened; a URL that is none.
    pub fn open(options: Options, ambient: Ambient) -> Result<Self, DbError> {
        let (backend, slow) = match options {
            Options::Sqlite(options) => {
                let slow = options.slow;
                (Backend::Sqlite { threads: Sqlite::open(&options)?, options }, slow)
            }
            Options::Postgres(options) => {
                let pool = postgres::pool(&options)?;
                (Backend::Postgres { pool, prepare: options.prepare }, options.slow)
            }
        };
        Ok(Self(Arc::new(Inner { backend, ambient, slow })))
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        match self.0.backend {
            Backend::Sqlite { .. } => Engine::Sqlite,
            Backend::Postgres { .. } => Engine::Postgres,
        }
    }

    /// The clock and the randomness.
    pub fn ambient(&self) -> &Ambient {
        &self.0.ambient
    }

    fn setting(&self, since: Instant) -> Setting {
        Setting { ambient: self.0.ambient.clone(), slow: self.0.slow, since }
    }

    /// Runs a reading transaction.
    ///
    /// # Errors
    /// What `body` says; [`Unavailable`](crate::ErrorKind::Unavailable) where no reader was free in time.
    pub async fn read<R, E, F>(&self, body: F) -> Result<R, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let began = Instant::now();
        let (outcome, used) = match &self.0.backend {
            Backend::Sqlite { threads, .. } => threads.read(self.setting(began), body).await,
            Backend::Postgres { pool, prepare } => {
                let mut session = Session::lease(pool, *prepare).await?;
                let queued = began.elapsed();
                let mut tx = Tx::new(Conn::Postgres(&mut session), &self.0.ambient, self.0.slow);
                let outcome = unpanicked(body(&mut tx)).await;
                (outcome, tx.usage().after(queued))
            }
        };
        record(Mode::Read, &outcome, used, began);
        outcome
    }

    /// Runs a writing transaction: all of it, or nothing of it.
    ///
    /// # Errors
    /// What `body` says; [`Unavailable`](crate::ErrorKind::Unavailable) where the writer or a connection
    /// was not free in time, or the commit failed.
    pub async fn write<R, E, F>(&self, body: F) -> Result<R, E>
    where
        F: AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let began = Instant::now();
        let (outcome, used) = match &self.0.backend {
            Backend::Sqlite { threads, .. } => threads.write(self.setting(began), body).await,
            Backend::Postgres { pool, prepare } => {
                let mut session = Session::lease(pool, *prepare).await?;
                let queued = began.elapsed();
                session.begin().await?;
                let mut tx = WriteTx::new(Tx::new(
                    Conn::Postgres(&mut session),
                    &self.0.ambient,
                    self.0.slow,
                ));
                // A panic drops the session, and with it the connection and its transaction.
                let outcome = unpanicked(body(&mut tx)).await;
                let (used, failed, after_commit) = tx.finish();
                let used = used.after(queued);
                let outcome = match (outcome, failed) {
                    (Ok(_), Some(statement)) => {
                        Err(DbError::bug("the closure went on after a failed statement")
                            .within(statement)
                            .into())
                    }
                    (outcome, _) => outcome,
                };
                if outcome.is_ok() {
                    // On a task of its own: a caller who goes away now must not leave a commit untold.
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "awaited below, and it ends by itself"
                    )]
                    let commit = tokio::spawn(async move {
                        session.end("commit").await?;
                        drop(session);
                        crate::tx::call_back(after_commit);
                        Ok::<_, DbError>(())
                    });
                    commit.await.map_err(|_| DbError::bug("the commit's task panicked"))??;
                } else {
                    // Where the rollback can't be said either, the session closes its connection.
                    let _ = session.end("rollback").await;
                }
                (outcome, used)
            }
        };
        record(Mode::Write, &outcome, used, began);
        outcome
    }

    /// The rows of a statement as they come, without holding them all: for exports and checks over
    /// whole tables. At most 256 rows wait for a slow reader.
    pub fn stream<R: FromRow + Send + 'static>(
        &self,
        statement: &'static Statement<R>,
        args: &[Value],
    ) -> impl futures::Stream<Item = Result<R, DbError>> + Send + Unpin + use<R> {
        let (rows, receiver) = flume::bounded(256);
        let args = args.to_vec();
        match &self.0.backend {
            Backend::Sqlite { options, .. } => {
                let options = options.clone();
                // A thread of its own: a long export must not keep a reader from short requests.
                tokio::task::spawn_blocking(move || {
                    let send = |row| {
                        rows.send(row).map_err(|_| DbError::bug("the reader of a stream went away"))
                    };
                    let outcome = Sqlite::detached(&options).and_then(|conn| {
                        let mut prepared = conn.prepare(statement.any().text(Engine::Sqlite))?;
                        let mut found = prepared.query(rusqlite::params_from_iter(&args))?;
                        while let Some(row) = found.next()? {
                            send(R::from_row(&Row::sqlite(row)))?;
                        }
                        Ok(())
                    });
                    if let Err(error) = outcome {
                        let _ = rows.send(Err(error.within(statement.any().name())));
                    }
                });
                futures::future::Either::Left(receiver.into_stream())
            }
            Backend::Postgres { pool, prepare } => {
                let (pool, prepare) = (pool.clone(), *prepare);
                let open = async move {
                    let mut session = Session::lease(&pool, prepare).await?;
                    let found =
                        session.query(statement.any().text(Engine::Postgres), &args, true).await?;
                    Ok::<_, DbError>((session, Box::pin(found)))
                };
                let stream = futures::stream::once(open).map_ok(|(session, found)| {
                    futures::stream::try_unfold((session, found), async |(session, mut found)| {
                        use futures::TryStreamExt as _;
                        match found.try_next().await? {
                            Some(row) => {
                                Ok(Some((R::from_row(&Row::postgres(&row))?, (session, found))))
                            }
                            None => Ok(None),
                        }
                    })
                });
                use futures::TryStreamExt as _;
                futures::future::Either::Right(Box::pin(stream.try_flatten()))
            }
        }
    }

    /// Whether the database answers, to those who read and to those who write, and what it says of itself.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn standing(&self) -> Result<Standing, DbError> {
        let began = Instant::now();
        let mut standing = self
            .read(async move |tx| {
                let waited = began.elapsed();
                let (version, replica, read_only) = tx.one(&STANDING, []).await?;
                let took = began.elapsed().saturating_sub(waited);
                Ok::<_, DbError>(Standing { version, replica, read_only, waited, took })
            })
            .await?;
        if self.engine() == Engine::Sqlite {
            // Nothing is written: it is seen whether the writer comes round, and how soon.
            let began = Instant::now();
            let waited = self.write(async move |_| Ok::<_, DbError>(began.elapsed())).await?;
            standing.waited = standing.waited.max(waited);
        }
        Ok(standing)
    }

    /// What it has to carry.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn load(&self) -> Result<Load, DbError> {
        let (bytes, deadlocks, locks_waiting, oldest) =
            self.read(async |tx| tx.one(&LOAD, []).await).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let oldest = match self.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Duration::from_micros(oldest.map_or(0, count))),
        };
        let deadlocks = deadlocks.map(count);
        Ok(Load { bytes, deadlocks, locks_waiting, oldest_transaction: oldest })
    }

    /// By how much the database's clock is ahead of this machine's, in microseconds, and how wrong that may be: it
    /// isn't known when the answer was on its way.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn clock_ahead(&self) -> Result<(i64, Duration), DbError> {
        let clock = self.0.ambient.clone();
        self.read(async move |tx| {
            let (before, began) = (clock.now(), Instant::now());
            let (theirs,) = tx.one(&CLOCK, []).await?;
            let half = began.elapsed() / 2;
            let half_micros = i64::try_from(half.as_micros()).unwrap_or(i64::MAX);
            let ours = before.micros().saturating_add(half_micros);
            Ok::<_, DbError>((theirs.saturating_sub(ours), half))
        })
        .await
    }

    /// Connections or threads in use and at most, and how many callers wait.
    pub fn pressure(&self) -> Pressure {
        match &self.0.backend {
            Backend::Sqlite { threads, options } => {
                let (writes, reads) = threads.queued();
                Pressure {
                    busy: threads.busy(),
                    open: options.readers + 1,
                    limit: options.readers + 1,
                    waiting: writes + reads,
                }
            }
            Backend::Postgres { pool, .. } => {
                let status = pool.status();
                Pressure {
                    busy: status.size.saturating_sub(status.available),
                    open: status.size,
                    limit: status.max_size,
                    waiting: status.waiting,
                }
            }
        }
    }

    /// Lets what was accepted finish and closes the database; nothing may be asked of it afterwards.
    pub async fn close(&self) {
        let this = self.clone();
        let _ = tokio::task::spawn_blocking(move || match &this.0.backend {
            Backend::Sqlite { threads, .. } => threads.close(),
            Backend::Postgres { pool, .. } => pool.close(),
        })
        .await;
    }

    pub(crate) async fn session(&self) -> Option<Result<Session, DbError>> {
        match &self.0.backend {
            Backend::Sqlite { .. } => None,
            Backend::Postgres { pool, prepare } => Some(Session::lease(pool, *prepare).await),
        }
    }

    pub(crate) fn detached(&self) -> Option<Result<rusqlite::Connection, DbError>> {
        match &self.0.backend {
            Backend::Sqlite { options, .. } => Some(Sqlite::detached(options)),
            Backend::Postgres { .. } => None,
        }
    }
}

/// How loaded the database's connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Connections, or threads, at work.
    pub busy: usize,
    /// Connections, or threads, that there are.
    pub open: usize,
    /// Connections, or threads, at most.
    pub limit: usize,
    /// Callers that wait.
    pub waiting: usize,
}

/// A panic is the failure of one transaction, not of whoever awaits it.
async fn unpanicked<R, E: From<DbError>>(body: impl Future<Output = Result<R, E>>) -> Result<R, E> {
    std::panic::AssertUnwindSafe(body)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(DbError::bug("a transaction panicked").into()))
}

fn record<R, E>(mode: Mode, outcome: &Result<R, E>, mut used: Usage, began: Instant) {
    let took = began.elapsed();
    used.micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    usage::record(used);
    pool::ended(mode, outcome.is_ok(), took);
}
