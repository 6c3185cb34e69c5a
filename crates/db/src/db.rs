//! The database as the rest of the server sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

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
    /// Whether the database answers.
    VERSION: (String,) = "db.version",
        sqlite: "select sqlite_version()", postgres: "select current_setting('server_version')";
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

    fn setting(&self) -> Setting {
        Setting { ambient: self.0.ambient.clone(), slow: self.0.slow }
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
            Backend::Sqlite { threads, .. } => threads.read(self.setting(), body).await,
            Backend::Postgres { pool, prepare } => {
                let mut session = Session::lease(pool, *prepare).await?;
                let mut tx = Tx::new(Conn::Postgres(&mut session), &self.0.ambient, self.0.slow);
                let outcome = unpanicked(body(&mut tx)).await;
                (outcome, tx.usage())
            }
        };
        record("read", &outcome, used, began);
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
            Backend::Sqlite { threads, .. } => threads.write(self.setting(), body).await,
            Backend::Postgres { pool, prepare } => {
                let mut session = Session::lease(pool, *prepare).await?;
                session.begin().await?;
                let mut tx = WriteTx::new(Tx::new(
                    Conn::Postgres(&mut session),
                    &self.0.ambient,
                    self.0.slow,
                ));
                // A panic drops the session, and with it the connection and its transaction.
                let outcome = unpanicked(body(&mut tx)).await;
                let (used, failed, after_commit) = tx.finish();
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
        record("write", &outcome, used, began);
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

    /// Whether the database answers, and in which version.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<String, DbError> {
        self.read(async |tx| tx.one(&VERSION, []).await).await.map(|(version,)| version)
    }

    /// Connections or threads in use and at most, and how many callers wait.
    pub fn pressure(&self) -> Pressure {
        match &self.0.backend {
            Backend::Sqlite { threads, options } => {
                let (writes, reads) = threads.queued();
                Pressure {
                    busy: None,
                    open: None,
                    limit: options.readers + 1,
                    waiting: writes + reads,
                }
            }
            Backend::Postgres { pool, .. } => {
                let status = pool.status();
                Pressure {
                    busy: Some(status.size.saturating_sub(status.available)),
                    open: Some(status.size),
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
    /// Connections in use; not known for SQLite's threads.
    pub busy: Option<usize>,
    /// Connections open; not known for SQLite's threads.
    pub open: Option<usize>,
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

fn record<R, E>(mode: &'static str, outcome: &Result<R, E>, mut used: Usage, began: Instant) {
    let took = began.elapsed();
    used.micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    usage::record(used);
    let outcome = if outcome.is_ok() { "committed" } else { "undone" };
    metrics::histogram!("db.transaction", "mode" => mode, "outcome" => outcome).record(took);
}
