//! The seam: transactions, groups, failures, on whichever engine the tests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatwarden_db::{
    Ambient, Buffered, Db, DbError, Engine, ErrorKind, OnConflict as _, Options, PostgresOptions,
    SqliteOptions, Statement, Tx, UsageScope, WriteTx, args, statements,
};
use chatwarden_testkit::engine;
use chatwarden_testkit::services::{Database, Durability, Postgres};
use futures::TryStreamExt as _;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::sync::oneshot;

statements! {
    CREATE: () = "seam.create", "create table things (id bigint primary key, name text not null, size bigint not null, unique (name))";
    INSERT: () = "seam.insert", "insert into things (id, name, size) values ($1, $2, $3)";
    UPSERT: () = "seam.upsert",
        "insert into things (id, name, size) values ($1, $2, $3) on conflict (id) do update set name = excluded.name, size = excluded.size";
    RESIZE: () = "seam.resize", "update things set size = size + $2 where id = $1";
    DELETE: () = "seam.delete", "delete from things where id = $1";
    ALL: (i64, String, i64) = "seam.all", "select id, name, size from things order by id";
    SOME: (i64,) = "seam.some", "select id from things where id @in($1) order by id";
    SUM: (i64,) = "seam.sum", "select cast(coalesce(sum(size), 0) as bigint) from things";
    WIDEN: () = "seam.widen", "alter table things add column note text";
    RESIZE_ALL: () = "seam.resize_all", "update things set size = size + $1";
    ENDLESS: (i64,) = "seam.endless",
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < $1) select count(*) from n";
    FLOOD: () = "seam.flood",
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < $1)
         insert into things (id, name, size) select i + 9, cast(i as text), 1 from n";
    HOLD: () = "seam.hold", "select pg_advisory_xact_lock($1)";
    WAITING: (bool,) = "seam.waiting",
        "select count(*) > 0 from pg_locks l where l.locktype = 'advisory' and not l.granted
            and l.database = (select oid from pg_database where datname = current_database())";
    WAITED_LONG: (bool,) = "seam.waited_long",
        "select count(*) > 0 from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'
            and clock_timestamp() - a.query_start > interval '300 milliseconds'";
    ENCRYPTED: (bool,) = "seam.encrypted", "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    WHOLE: (i64, String) = "seam.whole", "select * from things where id = $1";
}

/// The lock that migrations take, so that one node migrates.
const MIGRATING: i64 = 7_241_994;

/// A database with an empty table, and what keeps it there.
struct Place {
    db: Db,
    _folder: tempfile::TempDir,
    _database: Option<Database<'static>>,
}

async fn place_on(engine: Engine) -> Place {
    place_with(engine, Duration::from_secs(14)).await
}

async fn place_with(engine: Engine, statement_timeout: Duration) -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let (options, database) = match engine {
        Engine::Sqlite => {
            let mut options = SqliteOptions::new(folder.path().join("seam.sqlite3"));
            options.queue_timeout = Duration::from_millis(200);
            options.statement_timeout = statement_timeout;
            (Options::Sqlite(options), None)
        }
        Engine::Postgres => {
            let database = Postgres::shared().expect("a server").database().expect("a database");
            let mut options = PostgresOptions::new(database.url());
            options.connections = 3;
            options.queue_timeout = Duration::from_millis(200);
            options.statement_timeout = statement_timeout;
            (Options::Postgres(options), Some(database))
        }
    };
    let db = Db::open(options, Ambient::default()).expect("a database");
    write(&db, async |tx| tx.run(&CREATE, []).await).await.expect("a table");
    Place { db, _folder: folder, _database: database }
}

async fn place() -> Place {
    place_on(engine()).await
}

async fn write<R: Send + 'static>(
    db: &Db,
    body: impl AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, DbError> + Send + 'static,
) -> Result<R, DbError> {
    db.write(body).await
}

async fn rows(db: &Db) -> Vec<(i64, String, i64)> {
    db.read(async |tx: &mut Tx<'_>| tx.all(&ALL, []).await).await.expect("rows")
}

async fn add(db: &Db, id: i64) -> Result<u64, DbError> {
    write(db, async move |tx| tx.run(&INSERT, args![id, format!("thing {id}"), 1_i64]).await).await
}

#[tokio::test]
async fn a_failed_transaction_leaves_nothing_and_those_beside_it_stand() {
    let place = place().await;
    let running = (0..60).map(|id| {
        let db = place.db.clone();
        async move {
            let outcome = write(&db, async move |tx| {
                tx.run(&INSERT, args![id, format!("thing {id}"), 1_i64]).await?;
                if id % 3 == 0 {
                    // Breaks the rule that a name is given once, after having inserted a row.
                    tx.run(&INSERT, args![id + 1000, format!("thing {id}"), 1_i64]).await?;
                }
                Ok(id)
            })
            .await;
            (id, outcome)
        }
    });
    for (id, outcome) in futures::future::join_all(running).await {
        match outcome {
            Err(error) if error.kind() == &ErrorKind::Unavailable => panic!("{id}: {error}"),
            outcome => assert_eq!(outcome.is_err(), id % 3 == 0, "{id}: {outcome:?}"),
        }
    }
    let ids: Vec<i64> = rows(&place.db).await.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, (0..60).filter(|id| id % 3 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broken_rule_has_the_same_name_on_both_engines() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![2_i64, "thing 1", 1_i64])
            .await
            .on_conflict("things_name_key", || DbError::clone(&too_late()))
            .map(drop)
    })
    .await;
    assert_eq!(outcome.expect_err("it is taken").to_string(), too_late().to_string());
    let twice = add(&place.db, 1).await.expect_err("the id is taken");
    assert!(matches!(twice.kind(), ErrorKind::Constraint { .. }), "{twice}");
    assert_eq!(twice.statement(), Some("seam.insert"));
}

/// An error to be recognised by.
fn too_late() -> DbError {
    chatwarden_db::DbError::refused("taken")
}

#[tokio::test]
async fn a_panic_is_one_callers_failure() {
    let place = place().await;
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![1_i64, "thing", 1_i64]).await?;
        assert!(tx.now().micros() < 0, "a bug in a closure");
        Ok(())
    })
    .await;
    assert_eq!(outcome.expect_err("it panicked").kind(), &ErrorKind::Bug);
    assert_eq!(rows(&place.db).await, []);
    let read = place
        .db
        .read(async |tx: &mut Tx<'_>| {
            assert!(tx.now().micros() < 0, "a bug in a closure");
            Ok::<_, DbError>(())
        })
        .await;
    assert_eq!(read.expect_err("it panicked").kind(), &ErrorKind::Bug);
    add(&place.db, 2).await.expect("the writer goes on");
}

#[tokio::test]
async fn waiting_for_anything_else_inside_a_transaction_is_a_bug_that_shows_on_sqlite() {
    let place = place_on(Engine::Sqlite).await;
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![1_i64, "thing", 1_i64]).await?;
        tokio::task::yield_now().await;
        Ok(())
    })
    .await;
    let error = outcome.expect_err("it waited");
    assert_eq!(error.kind(), &ErrorKind::Bug);
    assert!(error.to_string().contains("waited"), "{error}");
    assert_eq!(rows(&place.db).await, []);
}

#[tokio::test]
async fn after_a_failed_statement_nothing_more_is_done() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        let _ = tx.run(&INSERT, args![1_i64, "again", 1_i64]).await;
        tx.run(&INSERT, args![2_i64, "other", 1_i64]).await
    })
    .await;
    assert_eq!(outcome.expect_err("it failed before").kind(), &ErrorKind::Bug);
    let swallowed = write(&place.db, async |tx| {
        let _ = tx.run(&INSERT, args![1_i64, "again", 1_i64]).await;
        Ok(())
    })
    .await;
    assert!(swallowed.is_err(), "a swallowed failure must not look like a success");
    assert_eq!(rows(&place.db).await.len(), 1);
}

/// Numbers collected besides the rows.
#[derive(Default)]
struct Collected(Vec<i64>);

impl Buffered for Collected {
    fn mark(&self) -> usize {
        self.0.len()
    }
    fn rewind(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}

#[tokio::test]
async fn a_savepoint_undoes_rows_callbacks_and_what_was_collected() {
    let place = place().await;
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    let collected = write(&place.db, async move |tx| {
        let count = |tx: &mut WriteTx<'_>, by: usize| {
            let called = counted.clone();
            tx.after_commit(move || {
                called.fetch_add(by, Ordering::SeqCst);
            });
        };
        tx.run(&INSERT, args![1_i64, "kept", 1_i64]).await?;
        tx.local::<Collected>().0.push(1);
        count(tx, 1);
        let inner = tx
            .savepoint(async |tx: &mut WriteTx<'_>| {
                tx.run(&INSERT, args![2_i64, "undone", 1_i64]).await?;
                tx.local::<Collected>().0.push(2);
                count(tx, 10);
                tx.run(&INSERT, args![3_i64, "kept", 1_i64]).await
            })
            .await;
        assert!(inner.is_err());
        tx.savepoint(async |tx: &mut WriteTx<'_>| {
            tx.local::<Collected>().0.push(4);
            count(tx, 100);
            tx.run(&INSERT, args![4_i64, "inner", 1_i64]).await
        })
        .await?;
        Ok(tx.local::<Collected>().0.clone())
    })
    .await
    .expect("the outer transaction stands");
    assert_eq!(collected, [1, 4]);
    assert_eq!(called.load(Ordering::SeqCst), 101);
    assert_eq!(rows(&place.db).await.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 4]);
}

#[tokio::test]
async fn callbacks_of_a_failed_transaction_are_not_called() {
    let place = place().await;
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    let outcome: Result<(), DbError> = write(&place.db, async move |tx| {
        tx.after_commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        tx.run(&INSERT, args![1_i64, "a\0b", 1_i64]).await.map(drop)
    })
    .await;
    assert_eq!(outcome.expect_err("a NUL").kind(), &ErrorKind::Value);
    assert_eq!(called.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_full_queue_refuses_in_time() {
    let place = place_on(Engine::Sqlite).await;
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let holding = place.db.write(async move |_| {
        // Blocks the writer's thread, as a disk that does not answer would.
        let _ = held.recv();
        Ok::<_, DbError>(())
    });
    let waiting = async {
        let refused = add(&place.db, 1).await.expect_err("the writer is held");
        assert_eq!(refused.kind(), &ErrorKind::Unavailable);
        drop(hold);
    };
    let (held, ()) = tokio::join!(holding, waiting);
    held.expect("the holder ends");
    assert_eq!(rows(&place.db).await, [], "what was refused does not run later");
    add(&place.db, 2).await.expect("the writer goes on");
}

#[tokio::test]
async fn a_cancelled_caller_leaves_no_transaction_behind() {
    let place = place().await;
    for id in 0..20 {
        let mut running = Box::pin(add(&place.db, id));
        // Polled once: it is queued, or has begun.
        let _ = futures::poll!(&mut running);
        drop(running);
    }
    // Each either happened whole or not at all, and the connections are free again.
    for id in 100..120 {
        add(&place.db, id).await.expect("a connection is free");
    }
    assert!(rows(&place.db).await.len() >= 20);
}

#[tokio::test]
async fn a_plan_that_went_stale_is_prepared_again() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let find =
        async |db: &Db| db.read(async |tx: &mut Tx<'_>| tx.one(&WHOLE, args![1_i64]).await).await;
    for _ in 0..4 {
        find(&place.db).await.expect("a row");
    }
    write(&place.db, async |tx| tx.run(&WIDEN, []).await).await.expect("the table changes");
    for _ in 0..4 {
        assert_eq!(find(&place.db).await.expect("a row").1, "thing 1");
        add(&place.db, 10).await.map_or_else(drop, drop);
    }
}

#[tokio::test]
async fn lists_are_bound_and_rows_streamed() {
    let place = place().await;
    write(&place.db, async |tx| {
        for id in 0..1000_i64 {
            tx.run(&INSERT, args![id, format!("thing {id}"), id]).await?;
        }
        Ok(())
    })
    .await
    .expect("rows");
    let some = place
        .db
        .read(async |tx: &mut Tx<'_>| tx.all(&SOME, args![vec![3_i64, 5, 2000]]).await)
        .await
        .expect("rows");
    assert_eq!(some, [(3,), (5,)]);
    let none =
        place.db.read(async |tx: &mut Tx<'_>| tx.all(&SOME, args![Vec::<i64>::new()]).await).await;
    assert_eq!(none.expect("no rows"), []);
    let streamed: Vec<_> = place.db.stream(&ALL, &[]).try_collect().await.expect("a stream");
    assert_eq!(streamed.len(), 1000);
    let first: Vec<_> = {
        use futures::StreamExt as _;
        place.db.stream(&ALL, &[]).take(3).try_collect().await.expect("a stream that is left early")
    };
    assert_eq!(first.len(), 3);
}

/// A step of a random transaction.
#[derive(Debug, Clone)]
enum Step {
    Insert(i64, u8),
    Upsert(i64, u8),
    Resize(i64, i8),
    Delete(i64),
    /// Steps under a savepoint; where one fails, all of them are undone.
    Nested(Vec<Step>),
    /// Fails the transaction.
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        4 => (0..12_i64, 0..8_u8).prop_map(|(id, name)| Step::Insert(id, name)),
        3 => (0..12_i64, 0..8_u8).prop_map(|(id, name)| Step::Upsert(id, name)),
        3 => (0..12_i64, -9..9_i8).prop_map(|(id, by)| Step::Resize(id, by)),
        2 => (0..12_i64).prop_map(Step::Delete),
        1 => Just(Step::GiveUp),
    ];
    plain.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 1..4).prop_map(Step::Nested))
}

/// What a transaction saw and how it ended, in words that both engines share.
type Seen = (bool, Vec<u64>, i64);

async fn play(tx: &mut WriteTx<'_>, steps: &[Step], seen: &mut Vec<u64>) -> Result<(), DbError> {
    for step in steps {
        let changed = match step {
            Step::Insert(id, name) => {
                tx.run(&INSERT, args![*id, format!("name {name}"), 1_i64]).await?
            }
            Step::Upsert(id, name) => {
                tx.run(&UPSERT, args![*id, format!("name {name}"), 2_i64]).await?
            }
            Step::Resize(id, by) => tx.run(&RESIZE, args![*id, i64::from(*by)]).await?,
            Step::Delete(id) => tx.run(&DELETE, args![*id]).await?,
            Step::GiveUp => return Err(too_late()),
            Step::Nested(inner) => {
                let inner = inner.clone();
                let outcome = tx
                    .savepoint(async |tx: &mut WriteTx<'_>| {
                        let mut seen = Vec::new();
                        Box::pin(play(tx, &inner, &mut seen)).await.map(|()| seen)
                    })
                    .await;
                match outcome {
                    Ok(inner) => inner.into_iter().sum::<u64>() + 100,
                    Err(_) => 1000,
                }
            }
        };
        seen.push(changed);
    }
    Ok(())
}

async fn history(
    engine: Engine,
    transactions: Vec<Vec<Step>>,
) -> (Vec<Seen>, Vec<(i64, String, i64)>) {
    let place = place_on(engine).await;
    let mut out = Vec::new();
    for steps in transactions {
        let outcome = write(&place.db, async move |tx| {
            let mut seen = Vec::new();
            play(tx, &steps, &mut seen).await?;
            let (sum,) = tx.one(&SUM, []).await?;
            Ok((true, seen, sum))
        })
        .await;
        out.push(outcome.unwrap_or((false, Vec::new(), 0)));
    }
    (out, rows(&place.db).await)
}

/// Random histories end the same on both engines: what each transaction saw, and what stands.
#[test]
fn both_engines_tell_the_same_story() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let stories = prop::collection::vec(prop::collection::vec(step(), 1..8), 1..12);
    runner
        .run(&stories, |story| {
            let lite = runtime.block_on(history(Engine::Sqlite, story.clone()));
            let full = runtime.block_on(history(Engine::Postgres, story));
            prop_assert_eq!(lite, full);
            Ok(())
        })
        .expect("the same story");
}

#[tokio::test]
async fn a_closed_file_is_whole_without_its_log() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("things.sqlite3");
        let mut options = SqliteOptions::new(&path);
        options.readers = 8;
        let db = Db::open(Options::Sqlite(options), Ambient::default()).expect("a database");
        db.write(async |tx| tx.run(&CREATE, []).await).await.expect("a table");
        db.close().await;
        assert!(!folder.path().join("things.sqlite3-wal").exists(), "the log was left behind");
    }
}

#[tokio::test]
async fn a_savepoint_that_went_on_after_a_failure_is_not_called_done() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        tx.savepoint(async |tx| {
            tx.run(&INSERT, args![2_i64, "kept?", 0_i64]).await?;
            let _ = tx.run(&INSERT, args![1_i64, "taken", 0_i64]).await;
            Ok::<_, DbError>(())
        })
        .await
    })
    .await;
    assert_eq!(*outcome.expect_err("it was undone").kind(), ErrorKind::Bug);
    assert_eq!(rows(&place.db).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_lets_queued_reads_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = SqliteOptions::new(folder.path().join("things.sqlite3"));
    options.readers = 1;
    let db = Db::open(Options::Sqlite(options), Ambient::default()).expect("a database");
    db.write(async |tx| tx.run(&CREATE, []).await).await.expect("a table");
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let mut reads: Vec<_> = vec![Box::pin({
        let db = db.clone();
        async move {
            db.read(async move |tx: &mut Tx<'_>| {
                let _ = wait.recv();
                tx.one(&SUM, []).await
            })
            .await
        }
    }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>];
    for _ in 0..4 {
        let db = db.clone();
        reads.push(Box::pin(async move {
            db.read(async |tx: &mut Tx<'_>| tx.one(&SUM, []).await).await
        }));
    }
    for read in &mut reads {
        assert!(futures::poll!(read).is_pending(), "the only reader waits");
    }
    let late = db.clone();
    let closing = async {
        // Until the queue is closed: what comes then is refused, and all before it stands in line.
        loop {
            let read = late.read(async |tx: &mut Tx<'_>| tx.one(&SUM, []).await);
            if futures::poll!(Box::pin(read)).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        release.send(()).expect("somebody waits");
        for read in reads {
            assert_eq!(read.await.expect("it was accepted"), (0,));
        }
    };
    let close = db.close();
    futures::future::join(close, closing).await;
}

#[tokio::test]
async fn usage_counts_what_was_fetched_and_what_was_changed() {
    let place = place().await;
    let scope = UsageScope::default();
    chatwarden_db::usage_scope(scope.clone(), async {
        for id in 1..=3 {
            add(&place.db, id).await.expect("a row");
        }
        write(&place.db, async |tx| tx.run(&RESIZE_ALL, args![1_i64]).await).await.expect("rows");
        rows(&place.db).await;
    })
    .await;
    let used = scope.usage();
    assert_eq!((used.statements, used.rows), (5, 3 + 3 + 3), "{used:?}");
}

/// A database of either engine on which statements have little time.
async fn hasty(engine: Engine) -> Place {
    place_with(engine, Duration::from_millis(100)).await
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_alike_on_both_engines() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let place = hasty(engine).await;
        let read = place.db.read(async |tx: &mut Tx<'_>| tx.one(&ENDLESS, args![i64::MAX]).await);
        let error: DbError = read.await.expect_err("it takes for ever");
        assert_eq!(error.kind(), &ErrorKind::Timeout, "{engine:?}: {error}");
        assert_eq!(error.statement(), Some("seam.endless"));
        let written = write(&place.db, async |tx| {
            tx.run(&INSERT, args![1_i64, "one", 1_i64]).await?;
            tx.savepoint(async |tx: &mut WriteTx<'_>| tx.run(&FLOOD, args![i64::MAX]).await).await
        });
        let error = written.await.expect_err("it takes for ever");
        assert_eq!(error.kind(), &ErrorKind::Timeout, "{engine:?}: {error}");
        assert_eq!(rows(&place.db).await, [], "{engine:?}: nothing of it stands");
        add(&place.db, 2).await.expect("those after it go on");
        assert_eq!(rows(&place.db).await.len(), 1, "{engine:?}");
    }
}

/// Looks again and again until it is so.
async fn until(db: &Db, statement: &'static Statement<(bool,)>) {
    let looking = async {
        loop {
            let (so,) = db
                .read(async |tx: &mut Tx<'_>| tx.one(statement, []).await)
                .await
                .unwrap_or_else(|error: DbError| panic!("{error}"));
            if so {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it becomes so");
}

/// Holds a lock of PostgreSQL's until told to let go.
async fn holding(db: &Db, lock: i64, held: oneshot::Sender<()>, go: oneshot::Receiver<()>) {
    let outcome = write(db, async move |tx| {
        tx.run(&HOLD, args![lock]).await?;
        let _ = held.send(());
        let _ = go.await;
        Ok(())
    });
    outcome.await.expect("the lock was held");
}

#[tokio::test]
async fn a_commit_is_told_although_its_caller_went_away() {
    let place = place_on(Engine::Postgres).await;
    let database = place._database.as_ref().expect("a database");
    // A commit that takes as long as the test wants.
    database
        .sql(
            "create function hold() returns trigger language plpgsql as \
             'begin perform pg_advisory_xact_lock(42); return null; end'; \
             create constraint trigger hold after insert on things deferrable initially deferred \
             for each row execute function hold()",
        )
        .expect("a trigger");
    let ((held, is_held), (go, goes)) = (oneshot::channel(), oneshot::channel());
    let (told, is_told) = oneshot::channel();
    let db = place.db.clone();
    let holding = holding(&db, 42, held, goes);
    let leaving = async {
        is_held.await.expect("the lock is held");
        let mut writing = Box::pin(write(&place.db, async move |tx| {
            tx.after_commit(move || {
                let _ = told.send(());
            });
            tx.run(&INSERT, args![1_i64, "one", 1_i64]).await
        }));
        tokio::select! {
            _ = &mut writing => panic!("the commit must wait for the lock"),
            () = until(&place.db, &WAITING) => {}
        }
        drop(writing);
        go.send(()).expect("the holder waits");
        is_told.await
    };
    let ((), told) = tokio::join!(holding, leaving);
    told.expect("the commit was told");
    assert_eq!(rows(&place.db).await.len(), 1);
}

#[tokio::test]
async fn a_migration_may_take_longer_than_a_request() {
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let mut options = PostgresOptions::new(database.url());
    options.statement_timeout = Duration::from_millis(100);
    let db = Db::open(Options::Postgres(options), Ambient::default()).expect("a database");
    let ((held, is_held), (go, goes)) = (oneshot::channel(), oneshot::channel());
    // Another node migrates: it holds the lock for longer than any statement of a request may wait.
    let holding = holding(&db, MIGRATING, held, goes);
    let patient = async {
        is_held.await.expect("the lock is held");
        let migrating = chatwarden_db::migrate(&db);
        let letting_go = async {
            until(&db, &WAITED_LONG).await;
            go.send(()).expect("the holder waits");
        };
        tokio::join!(migrating, letting_go).0
    };
    let ((), migrated) = tokio::join!(holding, patient);
    assert_eq!(migrated.expect("it waited").len(), chatwarden_db::MIGRATIONS.len());
}

/// Certificates of an authority of one's own, and a server's for `localhost`.
struct Authority {
    folder: tempfile::TempDir,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate");
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let server = server.signed_by(&key, &issuer).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file");
        Self { folder, certificate: server.pem(), key: key.serialize_pem() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// Whether a connection by this URL is encrypted; `None` where there is none.
async fn encrypted(url: &str, authority: Option<&Authority>) -> Option<bool> {
    let mut options = PostgresOptions::new(url);
    options.connections = 1;
    options.root_certificates = authority.map(Authority::path);
    let db = Db::open(Options::Postgres(options), Ambient::default()).ok()?;
    let found = db.read(async |tx: &mut Tx<'_>| tx.one(&ENCRYPTED, []).await).await;
    found.map(|(encrypted,)| encrypted).map_err(|error: DbError| eprintln!("{url}: {error}")).ok()
}

#[tokio::test]
async fn sslmode_means_what_it_means_to_libpq() {
    let postgres = Postgres::start(Durability::None).expect("a server");
    let by_host = |host: &str, mode: &str| {
        format!("{}?sslmode={mode}", postgres.url().replace("127.0.0.1", host))
    };
    // A server without TLS.
    for (mode, expected) in [
        ("disable", Some(false)),
        ("prefer", Some(false)),
        ("require", None),
        ("verify-ca", None),
        ("verify-full", None),
    ] {
        assert_eq!(encrypted(&by_host("127.0.0.1", mode), None).await, expected, "{mode}, no TLS");
    }
    let (trusted, another) = (Authority::new(), Authority::new());
    postgres.encrypt(&trusted.certificate, &trusted.key).expect("TLS");
    assert_eq!(encrypted(postgres.url(), None).await, Some(true), "without a mode it prefers TLS");
    let check = async |mode: &str, host: &str, authority: Option<&Authority>, expected| {
        let found = encrypted(&by_host(host, mode), authority).await;
        let named = authority.map(|a| std::ptr::eq(a, &trusted));
        assert_eq!(found, expected, "{mode} at {host}, trusted authority named: {named:?}");
    };
    check("disable", "localhost", None, Some(false)).await;
    check("prefer", "localhost", None, Some(true)).await;
    // It is encrypted, whoever answers; where an authority is named, it must have signed.
    check("require", "127.0.0.1", None, Some(true)).await;
    check("require", "127.0.0.1", Some(&trusted), Some(true)).await;
    check("require", "localhost", Some(&another), None).await;
    // Any host that the authority signed for.
    check("verify-ca", "127.0.0.1", Some(&trusted), Some(true)).await;
    check("verify-ca", "localhost", Some(&another), None).await;
    check("verify-ca", "localhost", None, None).await;
    // This very host.
    check("verify-full", "localhost", Some(&trusted), Some(true)).await;
    check("verify-full", "127.0.0.1", Some(&trusted), None).await;
    check("verify-full", "localhost", Some(&another), None).await;
    let path = trusted.path();
    let url = format!("{}&sslrootcert={}", by_host("localhost", "verify-full"), path.display());
    assert_eq!(encrypted(&url, Some(&another)).await, Some(true), "the URL's own comes first");
}
