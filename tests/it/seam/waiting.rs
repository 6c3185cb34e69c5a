//! Who waits, for how long, and what becomes of whoever does not: full queues, callers that go away, statements
//! that take too long, databases that are closed.

use std::time::{Duration, Instant};

use chatwarden_db::{
    Ambient, Db, DbError, Engine, ErrorKind, Options, PostgresOptions, SqliteOptions, Statement,
    Tx, UsageScope, WriteTx, args, usage_scope,
};
use chatwarden_testkit::services::Postgres;
use tokio::sync::oneshot;

use super::{
    CREATE, ENDLESS, FLOOD, HOLD, INSERT, Place, SUM, WAITED_LONG, WAITING, add, place, place_on,
    place_with, rows, write,
};

/// The lock that migrations take, so that one node migrates.
const MIGRATING: i64 = 7_241_994;

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
async fn who_waited_for_the_writer_or_a_connection_is_told_how_long() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let patient = Duration::from_secs(30);
        let place = place_with(engine, Duration::from_secs(14), patient).await;
        let scope = UsageScope::default();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (kept, mut lasts) = (held, Vec::new());
        let holders: Vec<_> = match engine {
            // The writer's thread.
            Engine::Sqlite => {
                let holding = place.db.write(async move |_| {
                    let _ = kept.recv();
                    Ok::<_, DbError>(())
                });
                vec![Box::pin(holding) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>]
            }
            // All connections.
            Engine::Postgres => (0..super::CONNECTIONS)
                .map(|_| {
                    let (last, ends) = oneshot::channel::<()>();
                    lasts.push(last);
                    let db = place.db.clone();
                    Box::pin(async move {
                        db.write(async move |_| {
                            let _ = ends.await;
                            Ok::<_, DbError>(())
                        })
                        .await
                    }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
                })
                .collect(),
        };
        let waiting = async {
            let mut waiting = Box::pin(usage_scope(scope.clone(), add(&place.db, 1)));
            let mut since = None;
            // Until it stands in line behind those who hold them all.
            while since.is_none() {
                assert!(futures::poll!(&mut waiting).is_pending(), "it can't have its turn");
                if place.db.pressure().waiting > 0 {
                    since = Some(Instant::now());
                }
                tokio::task::yield_now().await;
            }
            let held = since.expect("it waits").elapsed();
            drop((hold, lasts));
            waiting.await.expect("its turn came");
            held
        };
        let (_, held) = tokio::join!(futures::future::join_all(holders), waiting);
        let used = scope.usage();
        assert!(u128::from(used.queued) >= held.as_micros().max(1), "{engine:?}: {used:?}");
        assert!(used.queued <= used.micros, "{engine:?}: {used:?}");
    }
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

/// A database of either engine on which statements have little time.
async fn hasty(engine: Engine) -> Place {
    place_with(engine, Duration::from_millis(100), super::QUEUE_TIMEOUT).await
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
