//! SQLite: one writer thread with group commit, reader threads, checkpoints off the write path.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::checkpoints::{self, Checkpoints};
use crate::tx::{Conn, call_back};
use crate::{Ambient, DbError, SqliteOptions, Tx, Usage, WriteTx, pool};

/// At most this many closures are committed together.
const GROUP: usize = 32;
/// How many steps of SQLite's machine pass between two looks at the clock: some tens of microseconds.
const STEPS: i32 = 10_000;

/// The writer and the checkpointer: the first threads.
const WRITING_THREADS: usize = 2;

thread_local! {
    /// Since when this thread's statement runs; a connection is one thread's.
    static RUNNING: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A statement that runs and must end in time: SQLite knows no time-out of its own.
pub(crate) struct Timed(());

impl Timed {
    pub(crate) fn begin() -> Self {
        RUNNING.set(Some(Instant::now()));
        Self(())
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        RUNNING.set(None);
    }
}

/// A queue into threads; they end once it is closed and empty.
struct Queue(Mutex<Option<flume::Sender<Box<dyn Shipped>>>>);

impl Queue {
    fn new(sender: flume::Sender<Box<dyn Shipped>>) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    fn sender(&self) -> Option<flume::Sender<Box<dyn Shipped>>> {
        self.0.lock().clone()
    }

    fn len(&self) -> usize {
        self.0.lock().as_ref().map_or(0, flume::Sender::len)
    }

    fn close(&self) {
        self.0.lock().take();
    }
}

/// The threads that own the connections, and the queues into them.
pub(crate) struct Sqlite {
    writer: Queue,
    readers: Queue,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    busy: Busy,
    queue_timeout: Duration,
}

/// How many of the threads are at work.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicUsize>);

impl Busy {
    /// One more, until what comes back is dropped.
    fn work(&self) -> Working<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working { busy: self, since: Instant::now() }
    }
}

struct Working<'a> {
    busy: &'a Busy,
    since: Instant,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.busy.0.fetch_sub(1, Ordering::Relaxed);
        pool::used(self.since.elapsed());
    }
}

/// What the writer needs to run a closure, and to tell its caller how it ended.
trait Shipped: Send {
    /// Runs on a thread that owns a connection; what comes back is called once the commit is known.
    fn run(self: Box<Self>, conn: &mut Connection) -> Finish;
    /// Answers without running.
    fn refuse(self: Box<Self>, error: DbError);
}

type Finish = Box<dyn FnOnce(Result<(), DbError>)>;

/// Whether a closure waits in the queue, runs, or was given up.
#[derive(Default)]
struct Ticket(AtomicU8);

impl Ticket {
    const QUEUED: u8 = 0;
    const STARTED: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn start(&self) -> bool {
        self.0
            .compare_exchange(Self::QUEUED, Self::STARTED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn give_up(&self) -> bool {
        self.0
            .compare_exchange(Self::QUEUED, Self::GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

type Answer<R, E> = oneshot::Sender<(Result<R, E>, Usage)>;

/// What threads need to make a transaction.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) ambient: Ambient,
    pub(crate) slow: Duration,
    /// When it was asked for.
    pub(crate) since: Instant,
}

struct Write<F, R, E> {
    body: F,
    answer: Answer<R, E>,
    ticket: Arc<Ticket>,
    setting: Setting,
}

struct Read<F, R, E> {
    body: F,
    answer: Answer<R, E>,
    ticket: Arc<Ticket>,
    setting: Setting,
}

/// Polls a closure's future once. SQLite answers at once, so a future that is not done then waits
/// for something else, with the writer in its hands.
fn poll_once<R, E: From<DbError>>(future: impl Future<Output = Result<R, E>>) -> Result<R, E> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            Err(DbError::bug("a transaction waited for something other than the database").into())
        }
    }
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> DbError {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    DbError::bug(format!("a transaction panicked: {text}"))
}

fn control(conn: &Connection, text: &str) -> Result<(), DbError> {
    Ok(conn.prepare_cached(text)?.execute([]).map(drop)?)
}

impl<F, R, E> Shipped for Write<F, R, E>
where
    F: AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, E> + Send,
    R: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    fn run(self: Box<Self>, conn: &mut Connection) -> Finish {
        let Self { body, answer, ticket, setting } = *self;
        if !ticket.start() {
            return Box::new(|_| ());
        }
        let queued = setting.since.elapsed();
        pool::acquired(queued);
        if let Err(error) = control(conn, "savepoint one") {
            let _ = answer.send((Err(error.into()), Usage::default()));
            return Box::new(|_| ());
        }
        let mut tx = WriteTx::new(Tx::new(Conn::Sqlite(conn), &setting.ambient, setting.slow));
        let outcome = catch_unwind(AssertUnwindSafe(|| poll_once(body(&mut tx))))
            .unwrap_or_else(|payload| Err(panicked(&*payload).into()));
        let (usage, failed, after_commit) = tx.finish();
        let usage = usage.after(queued);
        let outcome = match (outcome, failed) {
            (Ok(_), Some(statement)) => {
                Err(DbError::bug("the closure went on after a failed statement")
                    .within(statement)
                    .into())
            }
            (outcome, _) => outcome,
        };
        let ended = match &outcome {
            Ok(_) => control(conn, "release savepoint one"),
            Err(_) => control(conn, "rollback to savepoint one")
                .and_then(|()| control(conn, "release savepoint one")),
        };
        Box::new(move |committed| {
            let outcome = match (outcome, ended.and(committed)) {
                (Ok(value), Ok(())) => {
                    call_back(after_commit);
                    Ok(value)
                }
                (Ok(_), Err(error)) => Err(error.into()),
                (Err(error), _) => Err(error),
            };
            let _ = answer.send((outcome, usage));
        })
    }

    fn refuse(self: Box<Self>, error: DbError) {
        let _ = self.answer.send((Err(error.into()), Usage::default()));
    }
}

impl<F, R, E> Shipped for Read<F, R, E>
where
    F: AsyncFnOnce(&mut Tx<'_>) -> Result<R, E> + Send,
    R: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    fn run(self: Box<Self>, conn: &mut Connection) -> Finish {
        let Self { body, answer, ticket, setting } = *self;
        if !ticket.start() {
            return Box::new(|_| ());
        }
        let queued = setting.since.elapsed();
        pool::acquired(queued);
        if let Err(error) = control(conn, "begin") {
            let _ = answer.send((Err(error.into()), Usage::default()));
            return Box::new(|_| ());
        }
        let mut tx = Tx::new(Conn::Sqlite(conn), &setting.ambient, setting.slow);
        let outcome = catch_unwind(AssertUnwindSafe(|| poll_once(body(&mut tx))))
            .unwrap_or_else(|payload| Err(panicked(&*payload).into()));
        let usage = tx.usage().after(queued);
        let ended = control(conn, "commit");
        let _ =
            answer.send((outcome.and_then(|value| ended.map(|()| value).map_err(E::from)), usage));
        Box::new(|_| ())
    }

    fn refuse(self: Box<Self>, error: DbError) {
        let _ = self.answer.send((Err(error.into()), Usage::default()));
    }
}

impl Sqlite {
    pub(crate) fn open(options: &SqliteOptions) -> Result<Self, DbError> {
        if let Some(folder) = options.path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| DbError::unavailable(format!("{}: {e}", folder.display())))?;
        }
        let (writer, writes) = flume::bounded::<Box<dyn Shipped>>(options.queue);
        let (readers, reads) = flume::bounded::<Box<dyn Shipped>>(options.queue);
        let mut threads = Vec::new();
        let busy = Busy::default();

        // The writer first: it creates the file and switches it to WAL.
        let mut conn = connect(options, true)?;
        let (checkpoints, copier) = checkpoints::of(&mut conn)?;
        let working = busy.clone();
        threads.push(spawn("db-writer", move || write_loop(conn, &writes, checkpoints, &working))?);
        let conn = connect(options, true)?;
        threads.push(spawn("db-checkpoint", move || copier.run(&conn))?);
        for index in 0..options.readers {
            let mut conn = connect(options, false)?;
            let (reads, working) = (reads.clone(), busy.clone());
            threads.push(spawn(&format!("db-reader-{index}"), move || {
                while let Ok(job) = reads.recv() {
                    let _working = working.work();
                    job.run(&mut conn)(Ok(()));
                }
            })?);
        }
        Ok(Self {
            writer: Queue::new(writer),
            readers: Queue::new(readers),
            threads: Mutex::new(threads),
            busy,
            queue_timeout: options.queue_timeout,
        })
    }

    pub(crate) async fn write<R, E, F>(&self, setting: Setting, body: F) -> (Result<R, E>, Usage)
    where
        F: AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let ticket = Arc::new(Ticket::default());
        let (answer, waiting) = oneshot::channel();
        let job = Box::new(Write { body, answer, ticket: ticket.clone(), setting });
        self.ship(&self.writer, job, ticket, waiting).await
    }

    pub(crate) async fn read<R, E, F>(&self, setting: Setting, body: F) -> (Result<R, E>, Usage)
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let ticket = Arc::new(Ticket::default());
        let (answer, waiting) = oneshot::channel();
        let job = Box::new(Read { body, answer, ticket: ticket.clone(), setting });
        self.ship(&self.readers, job, ticket, waiting).await
    }

    /// Puts a closure into a queue and waits for its answer. A closure that is still queued when
    /// the time is up, or when its caller goes away, will not run.
    async fn ship<R, E: From<DbError>>(
        &self,
        queue: &Queue,
        job: Box<dyn Shipped>,
        ticket: Arc<Ticket>,
        mut waiting: oneshot::Receiver<(Result<R, E>, Usage)>,
    ) -> (Result<R, E>, Usage) {
        struct GiveUp(Arc<Ticket>);
        impl Drop for GiveUp {
            fn drop(&mut self) {
                self.0.give_up();
            }
        }
        let busy = || {
            pool::timed_out();
            DbError::unavailable("the database's queue is full")
        };
        let lost = || DbError::bug("the database's thread is gone");
        let Some(queue) = queue.sender() else { return (Err(lost().into()), Usage::default()) };
        let give_up = GiveUp(ticket);
        let deadline = tokio::time::Instant::now() + self.queue_timeout;
        match tokio::time::timeout_at(deadline, queue.send_async(job)).await {
            Err(_) => return (Err(busy().into()), Usage::default()),
            Ok(Err(_)) => return (Err(lost().into()), Usage::default()),
            Ok(Ok(())) => {}
        }
        // Held no longer: the threads end once nobody can send.
        drop(queue);
        let answer = match tokio::time::timeout_at(deadline, &mut waiting).await {
            Ok(answer) => answer,
            // Once it runs, its outcome is waited for: it may be committed.
            Err(_) if give_up.0.give_up() => return (Err(busy().into()), Usage::default()),
            Err(_) => waiting.await,
        };
        answer.unwrap_or_else(|_| (Err(lost().into()), Usage::default()))
    }

    /// How many closures wait: (writes, reads).
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.writer.len(), self.readers.len())
    }

    /// How many threads are at work.
    pub(crate) fn busy(&self) -> usize {
        self.busy.0.load(Ordering::Relaxed)
    }

    /// Runs a closure with a connection of its own, on a thread of its own.
    pub(crate) fn detached(options: &SqliteOptions) -> Result<Connection, DbError> {
        connect(options, false)
    }

    /// Lets the queues run dry, ends the threads and closes the file. Readers go first:
    /// the last connection writes the log back into the file, and of two that close at once neither knows it is
    /// the last. The checkpointer ends once the writer's connection is closed.
    pub(crate) fn close(&self) {
        let mut writing = std::mem::take(&mut *self.threads.lock());
        let reading = writing.split_off(writing.len().min(WRITING_THREADS));
        self.readers.close();
        for thread in reading {
            let _ = thread.join();
        }
        self.writer.close();
        for thread in writing {
            let _ = thread.join();
        }
    }
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, DbError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| DbError::unavailable(format!("no thread for {name}: {e}")))
}

fn connect(options: &SqliteOptions, writes: bool) -> Result<Connection, DbError> {
    let mut conn = Connection::open_with_flags(
        &options.path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|e| DbError::unavailable(format!("{}: {e}", options.path.display())))?;
    conn.set_prepared_statement_cache_capacity(1024);
    // Otherwise SQLite plans a statement again whenever a value is bound that its plan could depend on (a partial
    // index's condition is enough), which costs more than running it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    let synchronous = if options.full_sync { "full" } else { "normal" };
    // The checkpoint thread writes the log back; the writer must not stop for it.
    conn.execute_batch(&format!(
        "pragma journal_mode = wal;
         pragma synchronous = {synchronous};
         pragma foreign_keys = on;
         pragma temp_store = memory;
         pragma cache_size = -{};
         pragma mmap_size = {};
         pragma wal_autocheckpoint = 0;
         pragma query_only = {};",
        options.cache_kib,
        256 << 20,
        if writes { "off" } else { "on" },
    ))?;
    // SQLite's own lower() knows ASCII alone; on PostgreSQL, `fold` is a function of the schema.
    conn.create_scalar_function(
        "fold",
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |call| Ok(call.get::<Option<String>>(0)?.map(|text| text.to_lowercase())),
    )?;
    let limit = options.statement_timeout;
    conn.progress_handler(
        STEPS,
        Some(move || RUNNING.get().is_some_and(|since| since.elapsed() >= limit)),
    )?;
    if let Some(told) = options.told {
        let tell = move |event: TraceEvent<'_>| {
            if let TraceEvent::Stmt(statement, _) = event
                && let Some(text) = statement.expanded_sql()
            {
                told(&text);
            }
        };
        conn.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(tell))?;
    }
    Ok(conn)
}

/// Drains the queue in groups: one savepoint a closure, one commit a group.
fn write_loop(
    mut conn: Connection,
    jobs: &flume::Receiver<Box<dyn Shipped>>,
    mut checkpoints: Checkpoints,
    busy: &Busy,
) {
    let grouped = metrics::histogram!("db.commit.group");
    let mut finishes: Vec<Finish> = Vec::with_capacity(GROUP);
    while let Ok(first) = jobs.recv() {
        let _working = busy.work();
        if let Err(error) = control(&conn, "begin immediate") {
            first.refuse(error);
            continue;
        }
        let mut next = Some(first);
        let mut broken = false;
        while let Some(job) = next {
            finishes.push(job.run(&mut conn));
            // Some failures (disk full, I/O) end the whole transaction, not just the savepoint.
            if conn.is_autocommit() {
                broken = true;
                break;
            }
            next = if finishes.len() < GROUP { jobs.try_recv().ok() } else { None };
        }
        let committed = if broken {
            Err(DbError::unavailable("the engine rolled the transaction back"))
        } else {
            control(&conn, "commit").inspect_err(|error| {
                tracing::error!(%error, "commit failed");
                let _ = conn.execute_batch("rollback");
            })
        };
        #[expect(clippy::cast_precision_loss, reason = "at most 32")]
        grouped.record(finishes.len() as f64);
        for finish in finishes.drain(..) {
            finish(committed.clone());
        }
        checkpoints.committed(&conn);
    }
    // In this order: the checkpointer's connection is the last one, and writes the log back into the file.
    drop(conn);
    drop(checkpoints);
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound() {
        let conn = connect(&SqliteOptions::new(":memory:"), true).unwrap();
        conn.execute_batch(
            "create table t (a integer, b integer);
             create index t_of_one on t (a) where b = 1;",
        )
        .unwrap();
        let mut statement = conn.prepare("select a from t where b = ?1").unwrap();
        for b in [0, 1, 2] {
            statement.query_map([b], |row| row.get::<_, i64>(0)).unwrap().for_each(drop);
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
