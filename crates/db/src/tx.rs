//! Transactions: what statements run in.

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;

use crate::postgres::Session;
use crate::sqlite::Timed;
use crate::{
    Ambient, AnyStatement, Composed, DbError, Engine, ErrorKind, FromRow, Row, Statement,
    Timestamp, Usage, Value,
};

/// What a statement is run on.
pub(crate) enum Conn<'a> {
    Sqlite(&'a mut rusqlite::Connection),
    Postgres(&'a mut Session),
}

/// A reading transaction. Functions that only look take `&mut Tx`; a [`WriteTx`] coerces to it.
///
/// On SQLite it sees one snapshot; on PostgreSQL each statement sees what was committed when it began.
pub struct Tx<'a> {
    conn: Conn<'a>,
    ambient: &'a Ambient,
    now: Timestamp,
    usage: Usage,
    slow: Duration,
    /// After a failed statement PostgreSQL refuses all others until the savepoint is left; so do we
    /// on SQLite, or code that tries on would work on one engine only.
    failed: Option<&'static str>,
    writes: bool,
}

/// What runs once a transaction is committed.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// Calls what waited for a commit. One that panics takes neither the thread down nor the others along.
pub(crate) fn call_back(after_commit: Vec<Callback>) {
    for callback in after_commit {
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            tracing::error!("a callback after commit panicked");
        }
    }
}

/// A writing transaction.
pub struct WriteTx<'a> {
    tx: Tx<'a>,
    locals: Vec<Box<dyn Buffered>>,
    after_commit: Vec<Callback>,
    depth: u32,
}

/// Something a transaction collects besides its rows, undone with the savepoint it was collected under.
pub trait Buffered: Any + Send {
    /// Where the buffer stands.
    fn mark(&self) -> usize;
    /// Back to a mark.
    fn rewind(&mut self, mark: usize);
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("engine", &self.engine())
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteTx").field("tx", &self.tx).finish_non_exhaustive()
    }
}

impl<'a> std::ops::Deref for WriteTx<'a> {
    type Target = Tx<'a>;
    fn deref(&self) -> &Tx<'a> {
        &self.tx
    }
}

impl<'a> std::ops::DerefMut for WriteTx<'a> {
    fn deref_mut(&mut self) -> &mut Tx<'a> {
        &mut self.tx
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(conn: Conn<'a>, ambient: &'a Ambient, slow: Duration) -> Self {
        Self {
            conn,
            ambient,
            now: ambient.now(),
            usage: Usage::default(),
            slow,
            failed: None,
            writes: false,
        }
    }

    /// The transaction's time: the same for all that happens in it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The clock and the randomness.
    pub fn ambient(&self) -> &Ambient {
        self.ambient
    }

    /// Whether this is a [`WriteTx`] underneath: what is read in it is written by.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Which engine this runs on.
    pub fn engine(&self) -> Engine {
        match self.conn {
            Conn::Sqlite(_) => Engine::Sqlite,
            Conn::Postgres(_) => Engine::Postgres,
        }
    }

    /// Whether the engine ended the transaction by itself.
    fn is_over(&self) -> bool {
        match &self.conn {
            Conn::Sqlite(conn) => conn.is_autocommit(),
            Conn::Postgres(_) => false,
        }
    }

    /// Statements and rows so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// [`ErrorKind::NoRow`] where there is none; more than one is a bug.
    pub async fn one<R: FromRow + Send>(
        &mut self,
        statement: &'static Statement<R>,
        args: impl AsRef<[Value]> + Send,
    ) -> Result<R, DbError> {
        self.opt(statement, args)
            .await?
            .ok_or_else(|| DbError::new(ErrorKind::NoRow, "no row").within(statement.any().name()))
    }

    /// The row of a statement, if there is one.
    ///
    /// # Errors
    /// What the engine said; more than one row is a bug.
    pub async fn opt<R: FromRow + Send>(
        &mut self,
        statement: &'static Statement<R>,
        args: impl AsRef<[Value]> + Send,
    ) -> Result<Option<R>, DbError> {
        let mut found = None;
        self.execute(statement.any(), args.as_ref(), &mut |row| {
            if found.replace(R::from_row(row)?).is_some() {
                return Err(DbError::bug("more than one row"));
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// All rows of a statement.
    ///
    /// # Errors
    /// What the engine said.
    pub async fn all<R: FromRow + Send>(
        &mut self,
        statement: &'static Statement<R>,
        args: impl AsRef<[Value]> + Send,
    ) -> Result<Vec<R>, DbError> {
        let mut rows = Vec::new();
        self.execute(statement.any(), args.as_ref(), &mut |row| {
            rows.push(R::from_row(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// All rows of a text put together at run time. `family` names it, for meters and logs, and
    /// declares its rows.
    ///
    /// # Errors
    /// What the engine said.
    pub async fn all_composed<R: FromRow + Send>(
        &mut self,
        family: &'static Statement<R>,
        composed: &Composed,
    ) -> Result<Vec<R>, DbError> {
        let text = composed.text(self.engine());
        let mut rows = Vec::new();
        self.execute_text(family.any(), Some(&text), composed.args(), &mut |row| {
            rows.push(R::from_row(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Runs `statement` and hands each row to `each` as it comes.
    pub(crate) async fn execute(
        &mut self,
        statement: &'static AnyStatement,
        args: &[Value],
        each: &mut (dyn FnMut(&Row<'_>) -> Result<(), DbError> + Send),
    ) -> Result<u64, DbError> {
        self.execute_text(statement, None, args, each).await
    }

    /// Runs `text`, or the statement's own, under the statement's name.
    async fn execute_text(
        &mut self,
        statement: &'static AnyStatement,
        text: Option<&str>,
        args: &[Value],
        each: &mut (dyn FnMut(&Row<'_>) -> Result<(), DbError> + Send),
    ) -> Result<u64, DbError> {
        let kept = text.is_none();
        let text = text.unwrap_or_else(|| statement.text(self.engine()));
        let name = statement.name();
        if let Some(first) = self.failed {
            return Err(
                DbError::bug(format!("the transaction failed before, at {first}")).within(name)
            );
        }
        let began = Instant::now();
        let mut rows = 0;
        let mut counted = |row: &Row<'_>| {
            rows += 1;
            each(row)
        };
        let outcome = match args.iter().try_for_each(Value::check) {
            Err(refused) => Err(refused),
            Ok(()) => match &mut self.conn {
                Conn::Sqlite(conn) => sqlite_execute(conn, text, args, &mut counted),
                Conn::Postgres(session) => session.execute(text, args, kept, &mut counted).await,
            },
        };
        let took = began.elapsed();
        // A statement without rows says how many it changed.
        rows = outcome.as_ref().map_or(rows, |changed| rows.max(*changed));
        self.usage.statements += 1;
        self.usage.rows += rows;
        statement
            .timer
            .get_or_init(|| metrics::histogram!("db.query", "query" => name))
            .record(took.as_secs_f64());
        if took >= self.slow {
            tracing::warn!(target: "chatwarden::db::slow", statement = name, duration_ms = took.as_secs_f64() * 1e3, rows, "slow statement");
        }
        outcome.map_err(|e| {
            self.failed = Some(name);
            metrics::counter!("db.query.errors", "query" => name).increment(1);
            e.within(name)
        })
    }
}

impl<'a> WriteTx<'a> {
    pub(crate) fn new(tx: Tx<'a>) -> Self {
        let tx = Tx { writes: true, ..tx };
        Self { tx, locals: Vec::new(), after_commit: Vec::new(), depth: 0 }
    }

    /// Runs a statement for its effect; the number of rows it changed.
    ///
    /// # Errors
    /// What the engine said.
    pub async fn run(
        &mut self,
        statement: &'static Statement<()>,
        args: impl AsRef<[Value]> + Send,
    ) -> Result<u64, DbError> {
        self.tx.execute(statement.any(), args.as_ref(), &mut |_| Ok(())).await
    }

    /// Runs `body` under a savepoint: where it fails, what it did is undone and the transaction goes on.
    ///
    /// # Errors
    /// What `body` says.
    pub async fn savepoint<R, E, F>(&mut self, body: F) -> Result<R, E>
    where
        F: AsyncFnOnce(&mut WriteTx<'a>) -> Result<R, E>,
        E: From<DbError>,
    {
        const NAMES: [[&str; 3]; 4] = [
            ["savepoint inner_1", "release savepoint inner_1", "rollback to savepoint inner_1"],
            ["savepoint inner_2", "release savepoint inner_2", "rollback to savepoint inner_2"],
            ["savepoint inner_3", "release savepoint inner_3", "rollback to savepoint inner_3"],
            ["savepoint inner_4", "release savepoint inner_4", "rollback to savepoint inner_4"],
        ];
        let [begin, release, rollback] = *NAMES
            .get(self.depth as usize)
            .ok_or_else(|| DbError::bug("savepoints nested more than four deep"))?;
        let marks: Vec<usize> = self.locals.iter().map(|l| l.mark()).collect();
        let callbacks = self.after_commit.len();
        self.control(begin).await?;
        self.depth += 1;
        let outcome = body(self).await;
        self.depth -= 1;
        if outcome.is_ok() && self.tx.failed.is_none() {
            self.control(release).await?;
            return outcome;
        }
        // An interrupted write takes SQLite's whole transaction along: there is nothing to go back to.
        if !self.tx.is_over() {
            self.control(rollback).await?;
            self.control(release).await?;
        } else {
            return match outcome {
                Ok(_) => Err(DbError::unavailable("the engine rolled the transaction back").into()),
                Err(error) => Err(error),
            };
        }
        let failed = self.tx.failed.take();
        self.after_commit.truncate(callbacks);
        for (index, local) in self.locals.iter_mut().enumerate() {
            local.rewind(marks.get(index).copied().unwrap_or(0));
        }
        match (outcome, failed) {
            // As with the whole transaction: what it reports as done was undone.
            (Ok(_), Some(statement)) => {
                Err(DbError::bug("the closure went on after a failed statement")
                    .within(statement)
                    .into())
            }
            (outcome, _) => outcome,
        }
    }

    /// Runs `callback` once the transaction is committed. It must not block: on SQLite it runs on
    /// the writer's thread.
    pub fn after_commit(&mut self, callback: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(callback));
    }

    /// The transaction's own `T`, made at its first use.
    pub fn local<T: Buffered + Default>(&mut self) -> &mut T {
        let wanted = TypeId::of::<T>();
        let of = |local: &dyn Buffered| {
            let any: &dyn Any = local;
            any.type_id()
        };
        let index = self.locals.iter().position(|l| of(&**l) == wanted).unwrap_or_else(|| {
            self.locals.push(Box::new(T::default()));
            self.locals.len() - 1
        });
        let found = self.locals.get_mut(index).and_then(|local| {
            let any: &mut dyn Any = &mut **local;
            any.downcast_mut::<T>()
        });
        match found {
            Some(found) => found,
            None => unreachable!("the local at this index was found by its type"),
        }
    }

    /// Savepoints and the like: not counted, not named.
    async fn control(&mut self, text: &'static str) -> Result<(), DbError> {
        match &mut self.tx.conn {
            Conn::Sqlite(conn) => {
                conn.prepare_cached(text)?.execute([]).map(drop).map_err(DbError::from)
            }
            Conn::Postgres(session) => session.control(text).await,
        }
    }

    /// Takes the transaction apart once its body is done.
    pub(crate) fn finish(self) -> (Usage, Option<&'static str>, Vec<Callback>) {
        (self.tx.usage, self.tx.failed, self.after_commit)
    }
}

fn sqlite_execute(
    conn: &mut rusqlite::Connection,
    text: &str,
    args: &[Value],
    each: &mut (dyn FnMut(&Row<'_>) -> Result<(), DbError> + Send),
) -> Result<u64, DbError> {
    let mut prepared = conn.prepare_cached(text)?;
    let _timed = Timed::begin();
    if prepared.column_count() == 0 {
        let changed = prepared.execute(rusqlite::params_from_iter(args))?;
        return Ok(u64::try_from(changed).unwrap_or(u64::MAX));
    }
    let mut rows = prepared.query(rusqlite::params_from_iter(args))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        each(&Row::sqlite(row))?;
        count += 1;
    }
    Ok(count)
}

impl Session {
    async fn execute(
        &mut self,
        text: &str,
        args: &[Value],
        kept: bool,
        each: &mut (dyn FnMut(&Row<'_>) -> Result<(), DbError> + Send),
    ) -> Result<u64, DbError> {
        let rows = self.query(text, args, kept).await?;
        futures::pin_mut!(rows);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            each(&Row::postgres(&row))?;
            count += 1;
        }
        Ok(rows.rows_affected().unwrap_or(count))
    }
}
